// Package manifests holds the configuration of the delivery stories: what a
// team would keep beside its service. The files are meant to be read and
// copied.
package manifests

import "embed"

// Files are the manifests, by story.
//
//go:embed */*.yaml
var Files embed.FS
