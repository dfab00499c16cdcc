package flag

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configMaps finds the flagd documents that the Kubernetes ConfigMaps in a
// YAML file embed: the values of data whose keys end in .json. Other objects
// in the file are passed over.
func configMaps(file text) ([]text, error) {
	dec := yaml.NewDecoder(bytes.NewReader(file.data))
	var out []text
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &DefinitionError{File: file.source, Line: yamlErrorLine(err), Reason: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
		}
		out = append(out, embedded(file, &doc)...)
	}
	if len(out) == 0 {
		return nil, &DefinitionError{File: file.source, Reason: "expected a Kubernetes ConfigMap whose data holds a key ending in .json"}
	}
	return out, nil
}

// embedded returns the documents of one YAML document.
func embedded(file text, doc *yaml.Node) []text {
	if len(doc.Content) != 1 {
		return nil
	}
	root := doc.Content[0]
	if kind := member(root, "kind"); kind == nil || kind.Value != "ConfigMap" {
		return nil
	}
	data := member(root, "data")
	if data == nil || data.Kind != yaml.MappingNode {
		return nil
	}
	var out []text
	for i := 0; i+1 < len(data.Content); i += 2 {
		key, value := data.Content[i], data.Content[i+1]
		if !strings.HasSuffix(key.Value, ".json") || value.Kind != yaml.ScalarNode {
			continue
		}
		t := file
		t.source = file.source + "#" + key.Value
		t.data = []byte(value.Value)
		// A block scalar begins on the line after its indicator.
		t.line = value.Line - 1
		if value.Style == yaml.LiteralStyle || value.Style == yaml.FoldedStyle {
			t.line = value.Line
		}
		out = append(out, t)
	}
	return out
}

func member(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlErrorLine is the line that the YAML library puts into its messages.
func yamlErrorLine(err error) int {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
