# rcptsyncctl.bash — completions of rcptsyncctl(1) for bash, with or without bash-completion.
#
# Names, digests and generations are asked of the state; where it cannot be read there are none.

# _rcptsyncctl_ask targets|sources|approvable|held|generations: one word a line.
_rcptsyncctl_ask() {
  local -a tool=("${COMP_WORDS[0]}" --json)
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -c | --config) tool+=(--config "${COMP_WORDS[i + 1]}") ;;
    esac
  done
  case $1 in
    targets | sources)
      timeout 5 "${tool[@]}" status 2>/dev/null |
        sed -n '/^  "'"$1"'": \[/,/^  \]/s/^ *"name": "\([^"]*\)".*/\1/p'
      ;;
    approvable)
      timeout 5 "${tool[@]}" status 2>/dev/null |
        sed -n -e '/^  "held": {/,/^  }/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p' \
          -e '/^  "refused": \[$/,/^  \]/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p' \
          -e '/^  "first_tables_held": \[$/,/^  \]/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p'
      ;;
    held)
      timeout 5 "${tool[@]}" status 2>/dev/null |
        sed -n '/^  "held": {/,/^  }/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p'
      ;;
    generations)
      timeout 5 "${tool[@]}" history -n 50 2>/dev/null |
        sed -n 's/^ *"generation": \([0-9]*\),*$/\1/p'
      ;;
  esac </dev/null
}

_rcptsyncctl() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local common="--config --json --verbose --color --help --version"
  local command="" which="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -c | --config | --color | --generation | -n | --number | --target | --file | --comment | --source | \
        --domain | --user | --password-file | --principal | --keytab | --limit) ((i++)) ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=${COMP_WORDS[i]}; else which=${COMP_WORDS[i]}; fi ;;
    esac
  done

  local words=""
  case $before in
    -c | --config | --file | --password-file | --keytab)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2>/dev/null
      return
      ;;
    --target) words=$(_rcptsyncctl_ask targets) ;;
    --generation) words=$(_rcptsyncctl_ask generations) ;;
    --color) words="auto always never" ;;
    --source) words=$(_rcptsyncctl_ask sources) ;;
    -n | --number | --comment | --domain | --user | --principal | --limit) return ;;
    *)
      case $command in
        "")
          words="status why diff history table approve reject rollback resync poll push verify
            target keygen prune-directory $common"
          ;;
        diff) words="$(_rcptsyncctl_ask generations) --target $common" ;;
        why) words="--live $common" ;;
        rollback) words="$common"; [[ -n $which ]] || words+=" $(_rcptsyncctl_ask generations)" ;;
        approve) words="$common"; [[ -n $which ]] || words+=" $(_rcptsyncctl_ask approvable)" ;;
        reject) words="$common"; [[ -n $which ]] || words+=" $(_rcptsyncctl_ask held)" ;;
        push | verify) words="$(_rcptsyncctl_ask targets) $common" ;;
        history) words="-n --number $common" ;;
        table) words="--target --access --generation $common" ;;
        target)
          case $which in
            "") words="setup test $common" ;;
            setup | test) words="$(_rcptsyncctl_ask targets) $common" ;;
            *) words=$common ;;
          esac
          ;;
        keygen) words="--file --comment $common" ;;
        prune-directory)
          words="--source --domain --user --password-file --principal --keytab --apply
            --include-primary --limit --yes $common"
          ;;
        *) words=$common ;;
      esac
      ;;
  esac
  # Options only where one is begun.
  local -a matching=()
  mapfile -t matching < <(compgen -W "$words" -- "$word")
  for i in "${matching[@]}"; do
    [[ $i == -* && $word != -* ]] || COMPREPLY+=("$i")
  done
}

complete -F _rcptsyncctl rcptsyncctl
