// Package manifests holds the configuration of the demo: what a team would
// keep beside its shop's source. The files are meant to be read and copied.
package manifests

import "embed"

// Files are the manifests (*.yaml) and what they refer to.
//
//go:embed *.yaml *.json
var Files embed.FS
