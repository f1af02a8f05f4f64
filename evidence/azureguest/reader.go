package azureguest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// maxShown bounds a text of the bundle in a refusal, in bytes.
const maxShown = 64

// reader reads the members of a bundle. Its first refusal stands; everything that is read after it is empty.
type reader struct {
	members map[string]jsontext.Value // by their names in lower case
	refused *evidence.Refusal
}

func newReader(b []byte) (*reader, error) {
	members, err := strictjson.Members(b)
	if err != nil {
		return nil, badRequest("AttestationInfo is not the JSON that guests send").Because(err)
	}
	return &reader{members: members}, nil
}

// into reads a member, without regard to the case of names in it. One that is not there is left as it is.
func (r *reader) into(name string, v any) {
	raw := r.members[strictjson.LowerASCII(name)]
	if r.refused != nil || raw == nil {
		return
	}
	if err := strictjson.Folded(raw, v); err != nil {
		r.refused = badRequest("the member " + name + " cannot be read").Because(err)
	}
}

// text reads a string; empty: there is none.
func (r *reader) text(name string) (text string) {
	r.into(name, &text)
	return text
}

// encodedText reads a text in base64.
func (r *reader) encodedText(name string) string {
	b := r.decode(name, r.text(name), maxText)
	if r.refused == nil && !utf8.Valid(b) {
		r.refused = badRequest("the member "+name+" is not a text").Want("UTF-8 in base64", fmt.Sprintf("%d bytes", len(b)))
	}
	return string(b)
}

// version reads a part of a version: a number, or one in decimal digits as a string, perhaps with zeros in front. Of a string with dots what is before
// the first counts: a client cuts "3815.2.0" in two only. Nothing is 0.
func (r *reader) version(name string) int64 {
	raw := r.members[strictjson.LowerASCII(name)]
	if r.refused != nil || len(raw) == 0 || raw.Kind() == 'n' {
		return 0
	}
	text := string(raw)
	if raw.Kind() == '"' {
		text, _, _ = strings.Cut(r.text(name), ".")
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > maxVersion || len(text) > maxVersionText {
		r.refused = badRequest("the member "+name+" is not the number of a version").Want(fmt.Sprintf("0 to %d", maxVersion), shown(text))
		return 0
	}
	return int64(n)
}

// decode reads base64 of at most limit bytes; empty: there is none.
func (r *reader) decode(name, text string, limit int) []byte {
	if r.refused != nil {
		return nil
	}
	b, refused := decode(name, text, limit)
	r.refused = refused
	return b
}

// needed is decode for a member that must be there.
func (r *reader) needed(name, text string, limit int) []byte {
	if r.refused == nil && text == "" {
		r.refused = badRequest("a member is missing").Want(name, "none")
	}
	return r.decode(name, text, limit)
}

// decode reads base64 in either alphabet, padded or not, of at most limit bytes.
func decode(name, text string, limit int) ([]byte, *evidence.Refusal) {
	if n := base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(text, "="))); n > limit {
		return nil, tooLong(name, limit, n)
	}
	b, err := b64.Decode(text)
	if err != nil {
		return nil, badRequest("the member " + name + " is not base64").Because(err)
	}
	return b, nil
}

func tooLong(name string, limit, found int) *evidence.Refusal {
	r := badRequest("the member "+name+" is too long").Want(fmt.Sprintf("at most %d bytes", limit), found)
	if name == "TcgLogs" {
		return r.Do("raise the limit tcg_log if the log is genuine")
	}
	return r
}

// shown quotes a text of the bundle for a refusal.
func shown(text string) string {
	if len(text) > maxShown {
		return strconv.QuoteToASCII(text[:maxShown]) + "…"
	}
	return strconv.QuoteToASCII(text)
}

func badRequest(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.GuestRequest, "%s", problem).
		Do("send AttestationInfo as the guest attestation library does: base64url of a JSON object whose binary members are in base64")
}

// refusal gives the refusal that an error of a check is.
func refusal(err error) (*evidence.Refusal, bool) { return errors.AsType[*evidence.Refusal](err) }
