package signature

import "github.com/tidegate-io/tidegate/fault"

// ParseMonspec reads a monspec.json.
func ParseMonspec(source string, data []byte) ([]Signature, error) {
	return nil, fault.Unavailable("%s: not yet", source)
}
