package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// template is text with ${…} expressions in it; $${ stands for ${ itself.
type template struct{ parts []templatePart }

// templatePart is literal text, or an expression.
type templatePart struct {
	text string
	expr *expression
}

func compileTemplate(text string, sc scope) (*template, error) {
	t := &template{}
	for rest := text; rest != ""; {
		start := strings.Index(rest, "${")
		if start < 0 {
			t.parts = append(t.parts, templatePart{text: rest})
			break
		}
		if start > 0 && rest[start-1] == '$' {
			t.parts = append(t.parts, templatePart{text: rest[:start-1] + "${"})
			rest = rest[start+2:]
			continue
		}
		if start > 0 {
			t.parts = append(t.parts, templatePart{text: rest[:start]})
		}
		body := rest[start+2:]
		end, err := closing(body)
		if err != nil {
			return nil, fault.Invalid("%q, column %d: %w", text, len(text)-len(rest)+start+1, err)
		}
		e, err := compile(body[:end], sc)
		if err != nil {
			return nil, fmt.Errorf("${%s}: %w", body[:end], err)
		}
		t.parts = append(t.parts, templatePart{expr: e})
		rest = body[end+1:]
	}
	return t, nil
}

// closing finds the brace that ends an expression, past strings and maps.
func closing(s string) (int, error) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i, nil
			}
			depth--
		case '"', '\'':
			quote := s[i]
			for i++; i < len(s) && s[i] != quote; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		}
	}
	return 0, fault.Invalid("the ${ is not closed")
}

func (t *template) render(ctx context.Context, v values) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		out, err := p.expr.eval(ctx, v)
		if err != nil {
			return "", err
		}
		text, err := asText(out)
		if err != nil {
			return "", fmt.Errorf("${%s}: %w", p.expr, err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// asText writes a value as a person would; lists and objects as JSON.
func asText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case time.Duration:
		return v.String(), nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fault.Invalid("a %T cannot be written as text", v)
	}
	return string(b), nil
}
