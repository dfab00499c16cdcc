package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret bounds a secret's file.
const maxSecret = 4 << 10

// Sign returns the signature of a request by Standard Webhooks: of its id, the
// unix seconds in stamp and its body.
func Sign(key []byte, id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, stamp)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Key reads the secret: its bytes, or the decoded rest when it begins with
// "whsec_". Errors name the reference, never the value.
func (s *Secret) Key(env func(name string) (string, bool)) ([]byte, error) {
	text, err := s.read(env)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errors.New("is empty")
	}
	if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errors.New("begins with whsec_ but is not base64")
		}
		return key, nil
	}
	return []byte(text), nil
}

func (s *Secret) read(env func(name string) (string, bool)) (string, error) {
	if s.Env != "" {
		text, ok := env(s.Env)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return text, nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("file %s is larger than %d bytes", s.File, maxSecret)
	}
	return strings.TrimSpace(string(b)), nil
}
