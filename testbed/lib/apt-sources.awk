# SPDX-License-Identifier: Apache-2.0
# Reads apt source files of both formats (one-line *.list and deb822 *.sources) and prints, as one-line entries, those
# that offer binary packages of component main for the Debian suite given with -v suite=NAME, its -updates or its -security.

function wanted(name) {
    return name == suite || name == suite "-updates" || name == suite "-security"
}

function has(list, word,    words, n, i) {
    n = split(list, words, " ")
    for (i = 1; i <= n; i++) if (words[i] == word) return 1
    return 0
}

function print_entry(options, uri, name) {
    printf "deb %s%s %s main\n", options, uri, name
}

function end_stanza(    uris, suites, nu, ns, i, j, options) {
    if (has(field["types"], "deb") && has(field["components"], "main") && tolower(field["enabled"]) != "no") {
        options = field["signed-by"] ~ /^\// ? "[signed-by=" field["signed-by"] "] " : ""
        nu = split(field["uris"], uris, " ")
        ns = split(field["suites"], suites, " ")
        for (i = 1; i <= nu; i++)
            for (j = 1; j <= ns; j++)
                if (wanted(suites[j])) print_entry(options, uris[i], suites[j])
    }
    split("", field)
    key = ""
}

FNR == 1 { end_stanza(); deb822 = FILENAME ~ /\.sources$/ }
/^[ \t]*#/ { next }

deb822 && /^[ \t]*$/ { end_stanza(); next }
deb822 && /^[ \t]/ { field[key] = field[key] " " $0; next }
deb822 && match($0, /^[A-Za-z-]+:/) {
    key = tolower(substr($0, 1, RLENGTH - 1))
    value = substr($0, RLENGTH + 1)
    gsub(/^[ \t]+|[ \t]+$/, "", value)
    field[key] = value
    next
}

!deb822 && $1 == "deb" {
    options = ""
    if (match($0, /\[[^]]*\]/)) {
        options = substr($0, RSTART, RLENGTH) " "
        $0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
    }
    if (wanted($3) && has($0, "main")) print_entry(options, $2, $3)
}

END { end_stanza() }
