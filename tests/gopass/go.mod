module privyseal.invalid/tests/gopass

go 1.24.1

require github.com/gopasspw/gopass v1.15.16
