package flag

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// maxFiles bounds the files read from one directory.
const maxFiles = 256

// Source is where flag definitions come from. Exactly one of Path and
// Document is set.
type Source struct {
	// Path of a file, or of a directory whose files ending in .json, .yaml
	// and .yml are read (not those of its subdirectories). JSON files are
	// flagd documents, YAML files hold ConfigMaps that embed some under keys
	// ending in .json. The path may lead through symbolic links that are
	// swapped, as in a ConfigMap that is mounted into a pod.
	Path string `json:"path,omitempty"`
	// Document is a flagd document given directly; it needs a Set.
	Document []byte `json:"document,omitempty"`

	// Set names the set. When empty, a document's metadata.flagSetId does, or
	// else its file: shop.flagd.json is the set "shop".
	Set string `json:"set,omitempty"`
	// Place is what the flags affect; the metadata "service" and
	// "environment" of a set or of a flag win.
	Place entity.Ref `json:"place,omitzero"`
}

func (s Source) check() error {
	if (s.Path == "") == (len(s.Document) == 0) {
		return fault.Invalid("flag source: exactly one of a path and a document is required")
	}
	if len(s.Document) > 0 && s.Set == "" {
		return fault.Invalid("flag source: a document needs the name of its set")
	}
	return nil
}

// file is one file as it was read.
type file struct {
	text
	err error // why it could not be read
}

// read returns the source's files. A file that cannot be read is among them
// with the reason; the error is for a directory that cannot be read.
func (s Source) read() ([]file, error) {
	if s.Path == "" {
		return []file{{text: text{set: s.Set, source: "manifest " + s.Set, data: s.Document, place: s.Place}}}, nil
	}
	info, err := os.Stat(s.Path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []file{s.readFile(s.Path)}, nil
	}
	entries, err := os.ReadDir(s.Path)
	if err != nil {
		return nil, err
	}
	var out []file
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !isDefinition(e.Name()) {
			continue
		}
		if len(out) == maxFiles {
			return nil, fault.Invalid("%s: more than %d files", s.Path, maxFiles)
		}
		f := s.readFile(filepath.Join(s.Path, e.Name()))
		if !errors.Is(f.err, fs.ErrNotExist) { // removed since it was listed
			out = append(out, f)
		}
	}
	return out, nil
}

func isDefinition(name string) bool {
	switch filepath.Ext(name) {
	case ".json", ".yaml", ".yml":
		return true
	}
	return false
}

func (s Source) readFile(path string) file {
	f := file{text: text{set: s.Set, source: path, place: s.Place}}
	in, err := os.Open(path)
	if err != nil {
		f.err = err
		return f
	}
	defer in.Close()
	f.data, f.err = io.ReadAll(io.LimitReader(in, 2*maxDocument+1))
	if len(f.data) > 2*maxDocument {
		f.err = fmt.Errorf("more than %d bytes", 2*maxDocument)
	}
	return f
}

// parse returns the file's documents, or why they are refused.
func (f file) parse() ([]*document, error) {
	if f.err != nil {
		return nil, &DefinitionError{File: f.source, Reason: f.err.Error()}
	}
	texts := []text{f.text}
	if filepath.Ext(f.source) == ".yaml" || filepath.Ext(f.source) == ".yml" {
		var err error
		if texts, err = configMaps(f.text); err != nil {
			return nil, err
		}
	}
	out := make([]*document, len(texts))
	for i, t := range texts {
		var err error
		if out[i], err = parse(t); err != nil {
			return nil, err
		}
	}
	return out, nil
}
