//go:build tools

// Package tools pins the gopass that the tests of pass stores talk to.
package tools

import _ "github.com/gopasspw/gopass"
