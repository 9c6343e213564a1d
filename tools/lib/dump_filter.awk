# Splits a plain pg_dump into what a staging database executes (standard output), the rows (one file per COPY, so that
# rows of a table that could not be made are never read as SQL), roles, and notes of what was left out.
#
# Variables: dir (for copy.N, roles, skipped, extensions), prefix (of the numbers of this file)

function note(text) { print text >>(dir "/skipped") }

in_copy {
    if ($0 == "\\.") { in_copy = 0; close(rows) }
    else print >rows
    next
}
# The body of a function: as it is, up to its closing tag.
body != "" {
    print
    if (index($0, body)) body = ""
    next
}
skipping { if (/;[ \t]*$/) skipping = 0; next }

/^COPY .* FROM stdin;$/ {
    rows = dir "/copy." prefix "." (++copies)
    printf "" >rows
    target = $0
    sub(/^COPY /, "", target); sub(/ FROM stdin;$/, "", target)
    printf "\\copy %s from '%s'\n\\if :ERROR\n\\echo lost %s\n\\endif\n", target, rows, $2
    in_copy = 1
    next
}
/^\\(connect|restrict|unrestrict)( |$)/ { next }
/^\\/ { print "line " NR " is a command for psql, not SQL: " substr($0, 1, 40) >"/dev/stderr"; failed = 1; exit 3 }

/^(CREATE|ALTER|DROP) (ROLE|USER) / || /^GRANT [^ ]+ TO [^ ]+/ { print >>(dir "/roles"); next }
/^(CREATE|ALTER|DROP) (DATABASE|SUBSCRIPTION|EVENT TRIGGER) / || /^COMMENT ON (DATABASE|EVENT TRIGGER|EXTENSION) / {
    if ($1 != "COMMENT") note(tolower($2) " " ($2 == "EVENT" ? "trigger " $4 : $3))
    if (!/;[ \t]*$/) skipping = 1
    next
}
/^CREATE EXTENSION / {
    name = $0
    sub(/^CREATE EXTENSION (IF NOT EXISTS )?/, "", name); sub(/[ ;].*/, "", name); gsub(/"/, "", name)
    print name >>(dir "/extensions")
}
{
    print
    # Tags that open a body stand behind AS or DO; a second one on the line closes it.
    if (match($0, /(AS|DO|as|do) \$[A-Za-z_0-9]*\$/)) {
        tag = substr($0, RSTART, RLENGTH); rest = substr($0, RSTART + RLENGTH)
        sub(/^.. /, "", tag)
        if (!index(rest, tag)) body = tag
    }
}
