# setup — prepares a host as a target in mode `scp`: account, authorized key, folder, and what main.cf
# needs. `rcptsyncctl target setup NAME` prints it behind lines that set the variables below; it is
# run on the target as root. POSIX sh with base-system tools.
#
# It makes what is missing and leaves alone what is there, so a second run changes nothing. What
# belongs to the account is written as that account: root follows no link that the account left.
# A script that is cut off half-way does nothing: the only command outside a function is the last.
#
#   target_name  target_user  target_path  target_config  target_format  target_map
#   target_access      yes if an access table belongs to it
#   target_domains     for relay_domains, with commas between; may be empty
#   target_known_as    the name of this host in known_hosts
#   target_keys        lines for authorized_keys
# shellcheck disable=SC2154

# ok TEXT: it is so already. made TEXT: now it is. todo TEXT: somebody has to.
ok() { printf 'ok:    %s\n' "$1"; }
made() { printf 'done:  %s\n' "$1"; }
todo() { printf 'TO DO: %s\n' "$1"; }
fail() {
  printf 'rcptsync target setup: %s\n' "$1" >&2
  exit 1
}

# as_user COMMAND
as_user() {
  if [ "$target_user" = root ]; then sh -c "$1"; else su "$target_user" -c "$1"; fi
}

# quote TEXT: as one word for sh.
quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# --- account -------------------------------------------------------------------------------------

# entry: sets `home` and `shell` of the account, or fails.
entry() {
  line=$({ getent passwd "$target_user" || grep "^$target_user:" /etc/passwd; } 2>/dev/null |
    head -n 1)
  [ -n "$line" ] || return 1
  home=$(printf '%s\n' "$line" | cut -d : -f 6)
  shell=$(printf '%s\n' "$line" | cut -d : -f 7)
}

account() {
  if entry; then
    ok "account $target_user"
  else
    if command -v useradd >/dev/null 2>&1; then
      useradd --system --user-group --create-home --shell /bin/sh "$target_user" &&
        # No password, but not locked: sshd without PAM refuses locked accounts.
        usermod -p '*' "$target_user"
    elif command -v pw >/dev/null 2>&1; then
      pw useradd -n "$target_user" -m -s /bin/sh -w no
    else
      addgroup -S "$target_user" && adduser -S -D -s /bin/sh -G "$target_user" "$target_user" &&
        sed -i "s/^$target_user:!:/$target_user:*:/" /etc/shadow
    fi || fail "the account $target_user could not be made"
    entry || fail "the account $target_user was made and is not there"
    made "account $target_user"
  fi
  case $shell in
    */nologin | */false) fail "the login shell of $target_user is $shell; run: usermod -s /bin/sh $target_user" ;;
  esac
  [ -d "$home" ] || fail "$target_user has no home: $home does not exist; create it, owned by $target_user"
}

# --- key -----------------------------------------------------------------------------------------

keys() {
  file=$home/.ssh/authorized_keys
  printf '%s\n' "$target_keys" | while IFS= read -r line; do
    if as_user "grep -qxF -e $(quote "$line") $(quote "$file")" 2>/dev/null; then
      ok "key in $file"
      continue
    fi
    blob=$(printf '%s\n' "$line" |
      awk '{ for (i = 1; i < NF; i++) if ($i ~ /^(ssh|ecdsa)-/) { print $(i + 1); exit } }')
    # The same key with other options is replaced, everything else stays.
    as_user "umask 077 && mkdir -p $(quote "$home/.ssh") &&
      { grep -vF -e $(quote "$blob") $(quote "$file") 2>/dev/null; printf '%s\\n' $(quote "$line"); } \
        >$(quote "$file.new") && mv $(quote "$file.new") $(quote "$file")" ||
      fail "$target_user could not write $file"
    made "key in $file"
  done || exit 1
}

# --- folder --------------------------------------------------------------------------------------

folder() {
  folder=${target_path%/*}
  [ -n "$folder" ] || fail "path: $target_path stands in no folder of its own; choose another one"
  if [ ! -d "$folder" ]; then
    # Where the account may make it, root does not: it could have left a link on the way.
    as_user "umask 022 && mkdir -p $(quote "$folder")" 2>/dev/null ||
      { (umask 022 && mkdir -p "$folder") && chown -h "$target_user" "$folder"; } ||
      fail "$folder could not be made"
    made "folder $folder"
  elif as_user "test -w $(quote "$folder") && test -x $(quote "$folder")"; then
    ok "folder $folder"
  else
    fail "$folder is there and $target_user cannot write in it; give the table a folder of its own in path:, or run: chown $target_user $folder"
  fi
}

# --- Postfix -------------------------------------------------------------------------------------

# choose_type: sets `type`, that of the table in main.cf if it is there, else as a push would.
choose_type() {
  type=$target_map
  [ "$type" = auto ] || return 0
  supported=" $(postconf -c "$target_config" -m | tr '\n' ' ') "
  for type in $(postconf -c "$target_config" -h default_database_type) lmdb cdb hash; do
    case $type in lmdb | cdb | hash) ;; *) continue ;; esac
    case $supported in *" $type "*) return 0 ;; esac
  done
  fail 'Postfix here has none of lmdb, cdb and hash; on Debian: apt install postfix-lmdb'
}

# value NAME: as Postfix uses it. Defaults can be expressions, which only -x (2.10) expands.
value() {
  postconf -c "$target_config" -x -h "$1" 2>/dev/null || postconf -c "$target_config" -h "$1"
}

# outside LIST: the words of LIST, with spaces or commas between, that are no domain of this target.
outside() {
  own=,$(printf '%s' "$target_domains" | tr -d ' '),
  for domain in $(printf '%s' "$1" | tr ',' ' '); do
    case $own in
      *",$domain,"*) ;;
      *) printf '%s ' "$domain" ;;
    esac
  done
}

# setting NAME VALUE: with --postfix it is made so, else the command for it is shown.
setting() {
  if [ "$apply" = yes ]; then
    postconf -c "$target_config" -e "$1 = $2" || fail "postconf could not set $1"
    made "$1 = $2"
    changed=yes
  else
    todo "postconf -c $(quote "$target_config") -e $(quote "$1 = $2")"
  fi
}

postfix_settings() {
  command -v postconf >/dev/null 2>&1 ||
    fail 'postconf is not here; install Postfix, or configure rebuild: for another program'
  choose_type
  extension=$type
  [ "$type" != hash ] || extension=db
  changed=no
  # With a table that is not there every recipient would get a 451.
  if [ ! -f "$target_path.$extension" ] && [ "$type" != texthash ]; then
    todo "push first (rcptsyncctl push $target_name), then run this again: main.cf must not name a table that is not there"
    return 0
  fi
  used=$(postconf -c "$target_config" -x -n 2>/dev/null || postconf -c "$target_config" -n)
  used=" $(printf '%s' "$used" | tr ',{}\n' '    ') "
  maps=$(value relay_recipient_maps)
  domains=$(value relay_domains)
  case $used in
    *":$target_path "*) ok "main.cf names $target_path" ;;
    *)
      others=$(outside "$domains")
      if [ -z "$maps" ] && [ -n "$target_domains" ] && [ -n "$others" ]; then
        # Without a list Postfix accepts every recipient there; with this one, none.
        todo "relay_domains also has ${others% }, whose recipients are not in this table: every mail to them would be rejected. List them in a table of their own, then set relay_recipient_maps to that and $type:$target_path"
      elif [ -z "$maps" ]; then
        setting relay_recipient_maps "$type:$target_path"
      else
        todo "relay_recipient_maps is $maps; put $type:$target_path there"
      fi
      ;;
  esac
  if [ "$target_access" = yes ]; then
    case $used in
      *":${target_path}_access "*) ok "main.cf names ${target_path}_access" ;;
      *)
        restrictions=$(postconf -c "$target_config" -h smtpd_recipient_restrictions)
        setting smtpd_recipient_restrictions \
          "check_recipient_access $type:${target_path}_access${restrictions:+, $restrictions}"
        ;;
    esac
  fi
  if [ -n "$target_domains" ] && [ -z "$domains" ]; then
    setting relay_domains "$target_domains"
  elif [ -n "$target_domains" ]; then
    for domain in $(printf '%s' "$target_domains" | tr ',' ' '); do
      case " $(printf '%s' "$domains" | tr ',\n' '  ') " in
        *" $domain "*) ;;
        *) todo "relay_domains is $domains; put $domain there" ;;
      esac
    done
  fi
  if [ "$changed" = yes ]; then
    postfix -c "$target_config" reload || todo "postfix -c $target_config reload"
  fi
}

# --- host key ------------------------------------------------------------------------------------

host_keys() {
  echo
  echo 'Lines for known_hosts on the host of the daemon, if it does not have them:'
  for file in /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub; do
    [ ! -f "$file" ] || printf '%s %s\n' "$target_known_as" "$(cut -d ' ' -f 1,2 "$file")"
  done
}

main() {
  PATH=${PATH-}:/usr/local/sbin:/usr/sbin:/sbin
  LC_ALL=C
  export PATH LC_ALL
  set -u
  apply=no
  case ${1-} in
    '') ;;
    --postfix) apply=yes ;;
    *) fail 'usage: sh SCRIPT [--postfix]' ;;
  esac
  [ "$(id -u)" = 0 ] || fail 'run this as root on the target'
  account
  keys
  folder
  case $target_format in postfix | postfix-access) postfix_settings ;; esac
  host_keys
}

main "$@"
