#!/bin/sh
# rebuild — what rcptsync runs on a target in mode `scp`: it looks at a table, hands it out, and
# puts a new one in force without a moment in which the MTA answers from half of one.
#
# POSIX sh with base-system tools only (dash, BusyBox ash, ksh, FreeBSD sh). It comes to the target
# on standard input of `sh -s`, behind a line `set -- MARK VERB …`, so nothing is installed there,
# no login shell has to parse an argument, and a script cut off half-way does nothing: the only
# command outside a function is the last line.
#
#   look    PATH CONFIG FORMAT MAP WAIT ACCESS BYTES STALE REBUILD
#           what is there, with which map types it is (to be) served, can it be replaced.
#           BYTES: of the new tables. STALE: minutes after which an upload of ours is a dead one's.
#   show    PATH          its bytes, raw, after the answer `bytes=follow`
#   install PATH CONFIG FORMAT MAP WAIT HELD NEW DIGEST HELD_ACCESS NEW_ACCESS DIGEST_ACCESS LIMIT
#           REBUILD REBUILD_ACCESS
#           puts NEW and NEW_ACCESS, which were uploaded beside PATH, in force. An empty name: that
#           table stays. HELD: digest that `look` saw, or `absent`. REBUILD…: the administrator's
#           own commands, at most LIMIT seconds each; empty: what is written here.
#   discard FILE…         removes uploads that will not be installed
#   probe   PATH CONFIG FORMAT MAP ACCESS BYTES REBUILD
#           whether a push could be carried out, step by step; changes nothing
#   verify  PATH CONFIG FORMAT MAP ACCESS REBUILD
#           what is served: digests, lines, whether each index says what its text says; changes
#           nothing
#
# Every answer is one line `MARK key=value`: the login shell of the account may print what it likes
# around them. The last is `end=ok` or `fail=CODE TEXT`.
#
# A table PATH is its text and one index beside it for each map type: PATH.lmdb, PATH.cdb, PATH.db.
# The text is renamed last, so its digest says what is served. PATH.installing stands there while
# that is not so: whoever finds it installs again. Only an owner of the lock writes anything but
# uploads. Names used: PATH.lock (or PATH.owner), PATH.installing, PATH.work/, PATH.previous*, and
# PATH.new.* for uploads.

# --- answers -------------------------------------------------------------------------------------

say() { printf '%s %s\n' "$mark" "$1"; }

# fail CODE TEXT: never in a subshell, it ends the script.
fail() {
  say "fail=$1 $2"
  exit 1
}

# warn TEXT
warn() { say "warning=$1"; }

# What a command said is kept in memory, never in a file: the disk may be full, and then its words
# would be lost with the rest.

# one_line TEXT: its first lines as one, for a message.
one_line() { printf '%s\n' "$1" | head -n 3 | tr '\n\r\t' '   ' | cut -c 1-400; }

# failed_with WORDS TEXT: fails with what a command said. A full disk has its own code.
failed_with() {
  case $1 in
    *'o space left'* | *'uota exceeded'* | *'not enough space'*) fail no_space "$2: $(one_line "$1")" ;;
    *'ermission denied'*) fail permission "$2: $(one_line "$1")" ;;
  esac
  fail remote "$2: $(one_line "$1")"
}

# --- files ---------------------------------------------------------------------------------------

# digest_of FILE: sets `digest` to its SHA-256, or to `absent`.
digest_of() {
  digest=absent
  [ -f "$1" ] || return 0
  if command -v sha256sum >/dev/null 2>&1; then
    digest=$(sha256sum <"$1" 2>/dev/null)
  elif command -v sha256 >/dev/null 2>&1; then
    digest=$(sha256 -q <"$1" 2>/dev/null)
  elif command -v shasum >/dev/null 2>&1; then
    digest=$(shasum -a 256 <"$1" 2>/dev/null)
  elif command -v openssl >/dev/null 2>&1; then
    digest=$(openssl dgst -sha256 -r <"$1" 2>/dev/null)
  else
    fail not_found 'none of sha256sum, sha256, shasum and openssl is installed'
  fi
  digest=${digest%% *}
  [ "${#digest}" = 64 ] || fail io "cannot read $1 or compute its SHA-256"
}

# bytes_of FILE
bytes_of() { echo $(($(wc -c <"$1"))); }

# flush FILE…: to the disk. sync(1) takes names in GNU and BusyBox; elsewhere it flushes all.
flush() { sync "$@" 2>/dev/null || sync 2>/dev/null || :; }

# check_place PATH: a regular file or nothing, in a folder where we can rename.
check_place() {
  folder=${1%/*}
  [ -n "$folder" ] || folder=/
  [ -d "$folder" ] ||
    fail not_found "the folder $folder does not exist; create it and give it to $(id -un)"
  { [ -w "$folder" ] && [ -x "$folder" ]; } ||
    fail permission "$(id -un) cannot write in $folder; give the folder to that account"
  for file in "$1" "$1.installing" "$1.work"; do
    [ ! -h "$file" ] ||
      fail invalid "$file is a symbolic link; configure the path of the file itself"
  done
  [ ! -e "$1" ] || [ -f "$1" ] || fail invalid "$1 is not a regular file"
  [ ! -e "$1" ] || [ -r "$1" ] || fail permission "$(id -un) cannot read $1"
}

# --- the lock ------------------------------------------------------------------------------------

# One owner at a time, also when the one before was killed. flock(1) leaves that to the kernel. Where
# it is missing (BSD), PATH.owner is made by link(2), which is atomic and brings its content along:
# process id and start time of the owner.
lock() {
  waited=0
  if command -v flock >/dev/null 2>&1; then
    (: >>"$path.lock") 2>/dev/null || fail permission "cannot write $path.lock"
    exec 9>>"$path.lock"
    # 9>&9: ksh hands a descriptor above 2 on only when it is named.
    until flock -n 9 9>&9 2>/dev/null; do still_locked "$path.lock"; done
  else
    until take_ownership; do
      break_dead_lock
      still_locked "$path.owner"
    done
    owner=yes
  fi
}

# still_locked FILE: waits a second, or gives up.
still_locked() {
  [ "$waited" -lt "$wait" ] ||
    fail busy "another push holds $1 for more than $wait s; if none runs, look for a hanging postmap"
  waited=$((waited + 1))
  sleep 1
}

take_ownership() {
  printf '%s %s\n' "$$" "$(started "$$")" >"$path.owner.$$" || return 1
  ln "$path.owner.$$" "$path.owner" 2>/dev/null
  taken=$?
  rm -f "$path.owner.$$"
  return "$taken"
}

# started PID: when it started, in words that only have to be equal; nothing if it does not run.
started() { ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_'; }

# The one who breaks a lock owns PATH.owner.break meanwhile, or two could break one after the other
# and the second would break the lock that the first has just taken.
break_dead_lock() {
  { read -r pid since <"$path.owner"; } 2>/dev/null || return 0
  [ "$(started "$pid")" != "$since" ] || return 0
  # Killed while breaking: old enough to be nobody's.
  [ -z "$(find "$path.owner.break" -prune -mmin +5 2>/dev/null)" ] ||
    rmdir "$path.owner.break" 2>/dev/null
  mkdir "$path.owner.break" 2>/dev/null || return 0
  { read -r pid since <"$path.owner"; } 2>/dev/null &&
    [ "$(started "$pid")" != "$since" ] && rm -f "$path.owner"
  rmdir "$path.owner.break"
}

# What owners that died left behind. Under the lock everything but an upload is a dead one's.
sweep() {
  rm -rf "$path.work" || fail permission "cannot remove $path.work"
  for file in "$path".new.* "${path}_access".new.*; do
    name=${file##*.new.}
    case $name in *[!0-9a-f]*) continue ;; esac
    if [ "${#name}" != 16 ] || [ ! -f "$file" ]; then continue; fi
    # An upload in progress changes its file all the time; find without -mmin counts in days.
    if [ -n "$(find "$file" -prune -mmin "+$stale" 2>/dev/null || find "$file" -prune -mtime +0)" ]
    then
      rm -f "$file"
    fi
  done
}

unlock() {
  if [ -n "$owner" ]; then rm -f "$path.owner"; else exec 9>&-; fi
  owner=
}

# --- map types -----------------------------------------------------------------------------------

# extension TYPE: sets `extension`; empty for a type that has no index.
extension() {
  case $1 in
    hash) extension=db ;;
    lmdb | cdb) extension=$1 ;;
    *) extension= ;;
  esac
}

# Whether Postfix here has map TYPE and we can build it.
usable() {
  case $1 in lmdb | cdb | hash | texthash) ;; *) return 1 ;; esac
  case " $supported " in *" $1 "*) return 0 ;; esac
  return 1
}

# Asks Postfix once. `references`: every word of main.cf and master.cf that could name a table, with
# variables expanded as far as this version does that (-x is from 2.10).
ask_postfix() {
  command -v postmap >/dev/null 2>&1 ||
    fail not_found "postmap is not installed or not in $PATH; install Postfix, or configure rebuild:"
  command -v postconf >/dev/null 2>&1 ||
    fail not_found "postconf is not in $PATH; install Postfix, or configure rebuild:"
  supported=$(postconf -c "$config" -m 2>/dev/null | tr -s '\n ' '  ')
  [ -n "$supported" ] ||
    fail remote "postconf -c $config -m fails; is postfix_config: the folder that has main.cf?"
  default=$(postconf -c "$config" -h default_database_type 2>/dev/null)
  # shellcheck disable=SC2020 # three spaces are meant: one for each character
  references=$({
    postconf -c "$config" -x -n 2>/dev/null || postconf -c "$config" -n
    postconf -c "$config" -x -P || :
  } 2>/dev/null | tr ',{}' '   ' | grep ':/' || :)
}

# named_types TABLE: sets `named` to the map types with which main.cf names it (`proxy:` is no type).
named_types() {
  named=
  set -f
  for reference in $references; do
    case $reference in
      *":$1")
        reference=${reference%":$1"}
        named="$named ${reference##*:}"
        ;;
    esac
  done
  set +f
}

# choose_types TABLE: sets `type`, the one that counts, and `types`: with it every other one that
# main.cf names or whose index lies there, because an index that is not kept in step is a trap.
choose_types() {
  named_types "$1"
  type=
  if [ "$map" != auto ]; then
    case "$named " in
      ' ' | *" $map "*) type=$map ;;
      *) fail invalid "$config/main.cf names$named:$1, but map_type: is $map; make them agree" ;;
    esac
    usable "$type" ||
      fail invalid "Postfix here has no map type $type, it has: $supported; on Debian: apt install postfix-$type"
  elif [ -n "$named" ]; then
    for candidate in $named; do
      if [ -z "$type" ] && usable "$candidate"; then type=$candidate; fi
    done
    [ -n "$type" ] ||
      fail invalid "$config/main.cf names$named:$1, which cannot be built here; use lmdb, cdb or hash, of those that 'postconf -m' lists"
  else
    for candidate in $default lmdb cdb hash; do
      if [ -z "$type" ] && usable "$candidate"; then type=$candidate; fi
    done
    [ -n "$type" ] || fail invalid "Postfix here has none of lmdb, cdb and hash; install one"
  fi
  types=$type
  for candidate in lmdb cdb hash texthash; do
    if [ "$candidate" = "$type" ] || ! usable "$candidate"; then continue; fi
    extension "$candidate"
    case "$named " in
      *" $candidate "*) types="$types $candidate" ;;
      *) if [ -n "$extension" ] && [ -f "$1.$extension" ]; then types="$types $candidate"; fi ;;
    esac
  done
}

# is_whole TABLE: whether text and indexes are all there and belong together.
is_whole() {
  if [ ! -f "$1" ] || [ -e "$path.installing" ]; then return 1; fi
  for candidate in $types; do
    extension "$candidate"
    [ -z "$extension" ] || [ -f "$1.$extension" ] || return 1
  done
}

uses_maps() {
  case $format in postfix | postfix-access) return 0 ;; esac
  return 1
}

# --- look ----------------------------------------------------------------------------------------

look() {
  path=$1 config=$2 format=$3 map=$4 wait=$5 access=$6 bytes=$7 stale=$8 rebuild=$9
  check_place "$path"
  [ "$access" = no ] || check_place "${path}_access"
  type=none types=
  if uses_maps && [ -z "$rebuild" ]; then ask_postfix; fi
  lock
  sweep
  look_at "$path" ''
  # An access table that lies there is looked at even if it is not wanted: a reject text that
  # nobody keeps up to date would refuse a recipient who has come back.
  if [ "$access" = yes ] || [ -f "${path}_access" ]; then look_at "${path}_access" access_; fi
  unlock
  room
  say end=ok
}

# look_at TABLE PREFIX
look_at() {
  digest_of "$1"
  say "${2}digest=$digest"
  if [ -f "$1" ]; then say "${2}size=$(bytes_of "$1")"; fi
  whole=yes
  [ ! -e "$path.installing" ] || whole=no
  if uses_maps && [ -z "$rebuild" ]; then
    choose_types "$1"
    is_whole "$1" || whole=no
    say "${2}map_type=$type"
    [ -n "$named" ] ||
      warn "$config/main.cf does not name $type:$1, so Postfix does not use this table"
  fi
  say "${2}whole=$whole"
}

# available: sets `available` to the KiB left in the folder, or to nothing. df -P is POSIX.
available() {
  available=$(df -P -k "$folder" 2>/dev/null | awk 'NR == 2 && $4 ~ /^[0-9]+$/ { print $4 }')
}

# An index is at least as large as its text. Where df fails nothing is refused.
room() {
  available
  [ -n "$available" ] || return 0
  need=$((bytes / 1024))
  [ -z "$types" ] || need=$((need * 2))
  [ "$available" -gt "$need" ] ||
    fail no_space "$folder has $available KiB left, the new tables need more than $need KiB"
}

# --- probe ---------------------------------------------------------------------------------------

# trying NAME: what follows up to passed is about this step.
trying() { say "trying=$1"; }
passed() { say "passed=$1"; }

probe() {
  path=$1 config=$2 format=$3 map=$4 access=$5 bytes=$6 rebuild=$7
  trying shell
  passed "$(id -un) on $(uname -n), $(uname -s)"
  trying scp
  command -v scp >/dev/null 2>&1 ||
    fail not_found 'scp is not installed; install the client programs of OpenSSH'
  passed "$(command -v scp)"
  trying SHA-256
  digest_of /etc/passwd
  passed 'can be computed'
  trying path
  check_place "$path"
  [ "$access" = no ] || check_place "${path}_access"
  passed "$(id -un) can replace files in $folder"
  type=none types=
  if uses_maps && [ -z "$rebuild" ]; then probe_postfix; fi
  trying space
  room
  passed "${available:-an unknown number of} KiB are free in $folder"
  trying lock
  probe_lock
  trying table
  if [ -f "$path" ]; then
    passed "$path has $(($(wc -l <"$path"))) entries"
  else
    passed "$path is not there yet"
  fi
  say end=ok
}

probe_postfix() {
  trying Postfix
  ask_postfix
  passed "version $(postconf -c "$config" -h mail_version 2>/dev/null), map types: $supported"
  probe_map "$path"
  [ "$access" = no ] || probe_map "${path}_access"
}

# probe_map TABLE
probe_map() {
  trying 'map type'
  choose_types "$1"
  passed "$type for $1"
  trying main.cf
  if [ -n "$named" ]; then
    passed "$config/main.cf names $type:$1"
  else
    warn "$config/main.cf does not name $type:$1, so Postfix would not use the table"
  fi
}

# A lock file is only opened if it is there: to make one would be a change.
probe_lock() {
  if command -v flock >/dev/null 2>&1; then
    if [ ! -e "$path.lock" ]; then
      passed 'free'
      return 0
    fi
    [ -w "$path.lock" ] || fail permission "cannot write $path.lock; remove it as root"
    exec 9>>"$path.lock"
    if flock -n 9 9>&9 2>/dev/null; then passed 'free'; else warn 'another push holds it now'; fi
    exec 9>&-
  elif { read -r pid since <"$path.owner"; } 2>/dev/null && [ "$(started "$pid")" = "$since" ]; then
    warn 'another push holds it now'
  else
    passed 'free'
  fi
}

# --- verify --------------------------------------------------------------------------------------

verify() {
  path=$1 config=$2 format=$3 map=$4 access=$5 rebuild=$6
  type=none types=
  if uses_maps && [ -z "$rebuild" ]; then ask_postfix; fi
  verify_table "$path" ''
  if [ "$access" = yes ] || [ -f "${path}_access" ]; then verify_table "${path}_access" access_; fi
  say end=ok
}

# verify_table TABLE PREFIX
verify_table() {
  digest_of "$1"
  before=$digest
  say "${2}digest=$digest"
  if [ "$digest" != absent ]; then
    say "${2}size=$(bytes_of "$1")"
    say "${2}entries=$(($(wc -l <"$1")))"
  fi
  whole=yes
  if uses_maps && [ -z "$rebuild" ]; then
    choose_types "$1"
    is_whole "$1" || whole=no
    say "${2}map_type=$type"
    [ -n "$named" ] ||
      warn "$config/main.cf does not name $type:$1, so Postfix does not use this table"
    if [ "$whole" = yes ]; then verify_indexes "$1"; fi
  fi
  say "${2}whole=$whole"
  digest_of "$1"
  if [ "$digest" != "$before" ] || { [ -e "$path.installing" ] && locked; }; then
    fail busy "$1 is being replaced right now; ask again"
  fi
  [ ! -e "$path.installing" ] ||
    warn "a push to $1 was cut off and none runs now; 'rcptsyncctl push' finishes it"
}

# locked: a push holds the lock. It is only looked at.
locked() {
  if command -v flock >/dev/null 2>&1; then
    # One that we may not open cannot be asked about.
    { : <"$path.lock"; } 2>/dev/null || [ -e "$path.lock" ] || return 1
    ! (exec 9<"$path.lock" && flock -s -n 9 9>&9) 2>/dev/null
  else
    { read -r pid since <"$path.owner"; } 2>/dev/null && [ "$(started "$pid")" = "$since" ]
  fi
}

# verify_indexes TABLE: every entry as the MTA would find it.
verify_indexes() {
  for candidate in $types; do
    extension "$candidate"
    [ -n "$extension" ] || continue
    read_back "$candidate" "$1" | cmp -s - "$1" ||
      say "wrong=$1.$extension has $(($(read_back "$candidate" "$1" | wc -l))) entries and does not say what $1 says; 'rcptsyncctl resync' builds it again"
  done
}

# --- show ----------------------------------------------------------------------------------------

show() {
  say bytes=follow
  cat "$1"
}

# --- install -------------------------------------------------------------------------------------

install() {
  path=$1 config=$2 format=$3 map=$4 wait=$5
  shift 5
  held=$1 new=$2 wanted=$3 held_access=$4 new_access=$5 wanted_access=$6 limit=$7 rebuild=$8
  rebuild_access=$9
  work=$path.work stale=1440
  trap clean_up EXIT
  trap 'exit 1' HUP INT TERM PIPE
  check_place "$path"
  lock
  sweep
  unchanged_since_look "$path" "$held"
  unchanged_since_look "${path}_access" "$held_access"
  mkdir -m 700 "$work" 2>"/dev/null" || fail no_space "cannot create the folder $work"
  TMPDIR=$work
  export TMPDIR
  accept_upload "$new" "$wanted"
  accept_upload "$new_access" "$wanted_access"
  if [ -n "$rebuild" ]; then
    install_with_command
  else
    install_here
  fi
  say end=ok
}

# unchanged_since_look TABLE HELD: two pushes at the same time must not undo each other unseen, and
# only the table that the guard has judged may be replaced.
unchanged_since_look() {
  [ -n "$2" ] || return 0
  digest_of "$1"
  [ "$digest" = "$2" ] || fail busy "another push replaced $1 in the meantime"
}

# accept_upload FILE DIGEST
accept_upload() {
  [ -n "$1" ] || return 0
  digest_of "$1"
  [ "$digest" = "$2" ] || fail damaged "$1 did not arrive as it was sent"
  chmod 644 "$1" || fail permission "cannot change the mode of $1"
}

clean_up() {
  status=$?
  trap '' HUP INT TERM PIPE
  [ -z "$new" ] || rm -f "$new"
  [ -z "$new_access" ] || rm -f "$new_access"
  # Only an owner of the lock has made it, see sweep.
  if [ -n "$TMPDIR" ]; then rm -rf "$work"; fi
  unlock
  exit "$status"
}

install_here() {
  # Both tables are ready before the first name changes.
  if uses_maps; then
    ask_postfix
    noise_of_configuration
    [ -z "$new_access" ] || prepare "${path}_access" "$new_access" access "$wanted_access"
    [ -z "$new" ] || prepare "$path" "$new" recipients "$wanted"
    prepare_between
  else
    [ -z "$new_access" ] || mv "$new_access" "$work/access"
    [ -z "$new" ] || mv "$new" "$work/recipients"
  fi
  if [ -n "$new" ]; then keep_previous "$path" "$wanted"; fi
  if [ -n "$new_access" ]; then keep_previous "${path}_access" "$wanted_access"; fi
  flush "$work"/*
  must_reload=$first_install
  [ ! -e "$path.installing" ] || must_reload=yes

  # From here on nobody may stop us half-way; SIGKILL and power cuts find PATH.installing.
  trap '' HUP INT TERM PIPE
  : >"$path.installing" || fail no_space "cannot create $path.installing"
  flush "$path.installing" "$folder"
  # One who leaves is to have the reject text (or 450) before the table of recipients forgets it,
  # and one who comes back is to keep it until the table knows it again: neither may meet a bare
  # "unknown" in between. One who stays is in no version of the access table.
  [ -z "$between" ] || rename_indexes "${path}_access" between "$types_access"
  [ -n "$between" ] || [ -z "$new_access" ] || put_access_in_force
  [ -z "$new" ] || put_in_force "$path" recipients "$types_recipients"
  [ -z "$between" ] || put_access_in_force
  flush "$folder"
  reload_if_needed
  confirm
}

# What postmap writes for every call here, because main.cf is not in order: that is not about us.
noise_of_configuration() {
  noise=$(postmap -c "$config" -q rcptsync static:rcptsync 2>&1 >/dev/null </dev/null) || :
}

# prepare TABLE FILE NAME DIGEST: builds every index in the work folder, and reads each back whole.
prepare() {
  choose_types "$1"
  case $3 in access) types_access=$types ;; *) types_recipients=$types ;; esac
  say "map_type=$type"
  mv "$2" "$work/$3" || fail permission "cannot move $2"
  for candidate in $types; do
    case $candidate in texthash) must_be_reloaded=yes ;; *) build "$candidate" "$work/$3" ;; esac
  done
  digest_of "$work/$3"
  [ "$digest" = "$4" ] || fail damaged "postmap changed $work/$3"
  is_whole "$1" || first_install=yes
}

# prepare_between: if both tables change, an access table with the lines of the old and the new, for
# the time between the renames; sets `between`. An old one that we did not write may not be fit for
# that, and then it is left out.
prepare_between() {
  if [ -z "$new" ] || [ -z "$new_access" ] || [ ! -f "${path}_access" ]; then return 0; fi
  awk -F '\t' '/^[^#\t ][^\t ]*\t/ && !($1 in seen) { seen[$1]; print }' \
    "$work/access" "${path}_access" | sort >"$work/between"
  ! cmp -s "$work/between" "$work/access" || return 0
  for candidate in $types_access; do
    # In a subshell, where a failure is no end.
    [ "$candidate" = texthash ] || (build "$candidate" "$work/between") >/dev/null || return 0
  done
  between=yes
}

# build TYPE FILE
build() {
  # postmap ends with 0 after a duplicate or a malformed line, so any word of it is a failure; the
  # first twenty are enough. Its exit status comes as the last.
  errors=$({
    postmap -c "$config" "$1:$2" 2>&1 </dev/null
    echo "exit status $?"
  } | head -n 20)
  if [ -n "$noise" ]; then errors=$(printf '%s\n' "$errors" | grep -Fvx -e "$noise"); fi
  [ "$errors" = 'exit status 0' ] || failed_with "$errors" "postmap $1"
  extension "$1"
  [ -f "$2.$extension" ] ||
    fail remote "postmap wrote no ${2##*/}.$extension; 'postconf -m' may list $1 only as another type's name"
  read_back "$1" "$2" | cmp -s - "$2" || differs "$1" "$2"
}

# read_back TYPE FILE: every entry as the MTA would find it, in the order of the text.
read_back() {
  case $1 in
    cdb) cut -f 1 "$2" | postmap -c "$config" -q - "$1:$2" ;; # it cannot list
    *) postmap -c "$config" -s "$1:$2" | sort ;;
  esac 2>/dev/null
}

# `postmap lmdb:` says nothing and ends with 0 on a full disk: only reading back shows it.
differs() {
  available
  [ "${available:-1024}" -ge 64 ] || fail no_space "postmap $1: $folder is full"
  entries=$(($(read_back "$1" "$2" | wc -l)))
  first=$(read_back "$1" "$2" | diff "$2" - | sed -n 2p | cut -c 1-200)
  fail damaged "the new $1 table does not read back as it was written ($(($(wc -l <"$2"))) lines, $entries entries); first difference: $first"
}

# keep_previous TABLE DIGEST: a copy for a later way back. Never a hard link: smtpd finds out that a
# table was replaced by the link count of the file it has open.
keep_previous() {
  if [ ! -f "$1" ] || [ -e "$path.installing" ]; then return 0; fi
  digest_of "$1"
  [ "$digest" != "$2" ] || return 0
  for suffix in '' .lmdb .cdb .db; do
    if [ ! -f "$1$suffix" ]; then
      rm -f "$1.previous$suffix"
    elif ! { cp -p "$1$suffix" "$work/previous" && mv -f "$work/previous" "$1.previous$suffix"; } \
      2>/dev/null; then
      rm -f "$work/previous" "$1.previous" "$1.previous".*
      warn "no copy of the table before this one is kept: $folder is too full"
      return 0
    fi
  done
}

put_access_in_force() { put_in_force "${path}_access" access "$types_access"; }

# put_in_force TABLE NAME TYPES: the indexes, then the text.
put_in_force() {
  rename_indexes "$@"
  errors=$(mv -f "$work/$2" "$1" 2>&1) || failed_with "$errors" "cannot rename to $1"
}

# rename_indexes TABLE NAME TYPES
rename_indexes() {
  for candidate in $3; do
    extension "$candidate"
    [ -n "$extension" ] || continue
    errors=$(mv -f "$work/$2.$extension" "$1.$extension" 2>&1) ||
      failed_with "$errors" "cannot rename to $1.$extension"
  done
}

# An smtpd that found a table missing or broken answers 451 until a reload, and texthash is read
# only then. An smtpd that has any other table open notices the new one by itself.
reload_if_needed() {
  named_types "$path"
  [ -n "$named" ] || return 0
  if [ "$must_be_reloaded" = yes ]; then
    errors=$(postfix -c "$config" reload 2>&1 </dev/null) ||
      failed_with "$errors" "texthash is read at a reload only, and 'postfix reload' failed; use lmdb, cdb or hash"
  elif [ "$must_reload" = yes ]; then
    errors=$(postfix -c "$config" reload 2>&1 </dev/null) ||
      warn "this table is new here; run 'postfix reload' once, this account cannot: $(one_line "$errors")"
  fi
}

# Only what is there now counts; then nothing is unfinished any more.
confirm() {
  confirm_table "$path" "$new" "$wanted"
  confirm_table "${path}_access" "$new_access" "$wanted_access"
  rm -f "$path.installing"
  flush "$folder"
}

# confirm_table TABLE NEW DIGEST
confirm_table() {
  [ -n "$2" ] || return 0
  digest_of "$1"
  [ "$digest" = "$3" ] || fail damaged "$1 is not what was installed; does another program write it?"
}

# --- the administrator's own command -------------------------------------------------------------

install_with_command() {
  : >"$path.installing" || fail no_space "cannot create $path.installing"
  [ -z "$new_access" ] || run_limited "$rebuild_access"
  [ -z "$new" ] || run_limited "$rebuild"
  confirm
}

# run_limited COMMAND
run_limited() {
  sh -c "$1" </dev/null >/dev/null 2>"$work/errors" 9>&- &
  child=$!
  (
    left=$limit
    while [ "$left" -gt 0 ] && kill -0 "$child"; do
      sleep 1
      left=$((left - 1))
    done
    if kill -0 "$child"; then : >"$work/overtime"; fi
    kill "$child"
  ) </dev/null >/dev/null 2>&1 9>&- &
  { wait "$child"; } 2>/dev/null
  status=$?
  kill "$!" 2>/dev/null
  if [ -e "$work/overtime" ]; then fail timeout "the rebuild command ran for more than $limit s"; fi
  [ "$status" = 0 ] || failed_with "$(head -n 3 "$work/errors")" "the rebuild command ended with exit status $status"
}

# --- main ----------------------------------------------------------------------------------------

main() {
  mark=$1 verb=$2
  shift 2
  # A login shell over SSH often lacks the sbin folders, where postmap lives.
  PATH=${PATH-}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  LC_ALL=C
  export PATH LC_ALL
  unset TMPDIR
  TMPDIR='' owner='' supported='' references='' types_access='' types_recipients=''
  first_install=no must_be_reloaded=no between=''
  set -u
  umask 022
  case $verb in
    look) look "$@" ;;
    show) show "$@" ;;
    install) install "$@" ;;
    discard) rm -f "$@" && say end=ok ;;
    probe) probe "$@" ;;
    verify) verify "$@" ;;
    *) fail invalid "unknown verb $verb" ;;
  esac
}

main "$@"
