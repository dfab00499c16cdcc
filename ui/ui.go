// Package ui holds the built screens. dist is made by `make ui` (npm run
// build); it is empty, but for a placeholder, in a checkout that was never
// built, and package internal/web then says how to build it.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the built screens, rooted at index.html.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path
	}
	return files
}
