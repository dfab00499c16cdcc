// Package manifests holds the configuration of the self-healing story: what a
// team would keep beside its shop's source.
package manifests

import "embed"

// Files are the manifests.
//
//go:embed *.yaml
var Files embed.FS
