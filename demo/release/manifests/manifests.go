// Package manifests holds the configuration of the story: what a team would
// keep beside its shop's source. The files are meant to be read and copied.
package manifests

import "embed"

// Files are the manifests.
//
//go:embed *.yaml
var Files embed.FS
