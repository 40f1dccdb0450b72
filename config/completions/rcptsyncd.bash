# rcptsyncd.bash — completions of rcptsyncd(8) for bash, with or without bash-completion.
_rcptsyncd() {
  local word=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  case ${COMP_WORDS[COMP_CWORD - 1]} in
    -c | --config)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2>/dev/null
      ;;
    *)
      mapfile -t COMPREPLY < <(
        compgen -W "--config --check --once --dry-run --verbose --json --color --help --version" -- "$word"
      )
      ;;
  esac
}

complete -F _rcptsyncd rcptsyncd
