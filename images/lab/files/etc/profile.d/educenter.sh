# UTF-8 and an editor for every login shell; what the terminal sets itself wins.
export LANG="${LANG:-C.UTF-8}"
export EDITOR="${EDITOR:-nano}"
export LESS="${LESS:--R}"
