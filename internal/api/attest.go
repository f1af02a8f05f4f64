package api

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/verifier"
)

// attestBody is the body of an attest request (api.md sections 4 and 7). Member names are matched without regard to
// case, for which the tags are in lower case; unknown members are ignored.
type attestBody struct {
	Quote       *string        `json:"quote"`
	Report      *string        `json:"report"`
	Info        *string        `json:"attestationinfo"`
	RuntimeData *dataBody      `json:"runtimedata"`
	InitData    *dataBody      `json:"inittimedata"`
	Draft       *string        `json:"draftpolicyforattestation"`
	Nonce       jsontext.Value `json:"nonce"`
}

type dataBody struct {
	Data     *string `json:"data"`
	DataType *string `json:"datatype"`
}

// attest serves /attest/SgxEnclave, OpenEnclave, SevSnpVm, TdxVm and AzureGuest.
func (s *Service) attest(t evidence.Type) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		to, draft, err := s.readAttest(t, r)
		if err != nil {
			return nil, err
		}
		start := s.Clock()
		token, err := s.answer(ctx, r, to, draft)
		s.keep(r, to.Record, err)
		if unwritten := s.auditAttest(r, start, err); unwritten != nil {
			return nil, unwritten
		}
		return tokenAnswer{token}, err
	}
}

// readAttest reads the body of an attest request into what the verifier takes, and the text of its draft policy, nil
// if it has none.
func (s *Service) readAttest(t evidence.Type, r *request) (verifier.Request, []byte, error) {
	var b attestBody
	if err := strictjson.Folded(r.body, &b); err != nil {
		return verifier.Request{}, nil, bad("The request body cannot be read (expected one JSON object): %v.", err)
	}
	to, err := b.request(t)
	if err != nil {
		return to, nil, err
	}
	to.At, to.Preview = s.JudgedAt(), r.op.form == previewErrors
	to.Record = &explain.Record{Type: t, Time: s.Clock()}
	if b.Draft == nil || *b.Draft == "" {
		return to, nil, nil
	}
	draft, err := policyjws.Text([]byte(*b.Draft))
	if err != nil {
		err = refuse(http.StatusBadRequest, codeInvalidOperation, "The draft policy cannot be read: %v.", err)
	}
	return to, draft, err
}

// answer makes the token that the evidence earns; with a draft policy an unsigned one (policy.md section 11).
func (s *Service) answer(ctx context.Context, r *request, to verifier.Request, draft []byte) (string, error) {
	if draft != nil {
		rehearsal, err := r.at.Verifier.Rehearse(ctx, to, draft)
		if err != nil {
			return "", err
		}
		return r.at.Keys.MintDraft(rehearsal, s.Clock())
	}
	permit, err := r.at.Verifier.Appraise(ctx, to)
	if err != nil {
		return "", err
	}
	return r.at.Keys.Mint(permit, s.Clock())
}

// request turns the body into a request for the verifier. An Azure guest brings all that is to be bound within its evidence.
func (b *attestBody) request(t evidence.Type) (r verifier.Request, err error) {
	r.Type = t
	if r.Evidence, err = b.evidence(t); err != nil || t == evidence.AzureGuest {
		return r, err
	}
	if r.RuntimeData, err = b.RuntimeData.read("runtimeData"); err != nil {
		return r, err
	}
	if r.InitData, err = b.InitData.read("initTimeData"); err != nil {
		return r, err
	}
	r.Nonce, err = readNonce(b.Nonce)
	return r, err
}

// evidence decodes the member that holds the evidence of a type.
func (b *attestBody) evidence(t evidence.Type) ([]byte, error) {
	member, sent := "quote", b.Quote
	switch t {
	case evidence.OpenEnclave, evidence.SevSnpVM:
		member, sent = "report", b.Report
	case evidence.AzureGuest:
		member, sent = "AttestationInfo", b.Info
	}
	if sent == nil || *sent == "" {
		return nil, b.missing(member)
	}
	decoded, err := b64.Decode(*sent)
	if err != nil {
		return nil, bad("The member %q is %v.", member, err)
	}
	return decoded, nil
}

// missing says that there is no evidence where it should be, and where what came instead belongs.
func (b *attestBody) missing(member string) error {
	if sent := func(text *string) bool { return text != nil && *text != "" }; sent(b.Quote) || sent(b.Report) || sent(b.Info) {
		return bad("The member %q is missing: /attest/SgxEnclave and /attest/TdxVm take a bare quote in \"quote\", /attest/OpenEnclave and /attest/SevSnpVm a report in \"report\", /attest/AzureGuest the evidence of the guest in \"AttestationInfo\".", member)
	}
	return bad("The member %q is missing: it holds the evidence in base64url.", member)
}

// read decodes runtime or init data; an object without data means the same as none, since real clients send it.
func (d *dataBody) read(member string) (*verifier.Data, error) {
	if d == nil || d.Data == nil || *d.Data == "" {
		return nil, nil
	}
	out := new(verifier.Data)
	if d.DataType != nil {
		switch strings.ToLower(*d.DataType) {
		case "", "binary":
		case "json":
			out.JSON = true
		default:
			return nil, bad("The member %s.dataType is %q; it must be Binary or JSON.", member, shorten(*d.DataType, maxQuoted))
		}
	}
	var err error
	if out.Bytes, err = b64.Decode(*d.Data); err != nil {
		return nil, bad("The member %s.data is %v.", member, err)
	}
	return out, nil
}

// readNonce takes a string, or a whole number, whose decimal text becomes the nonce.
func readNonce(v jsontext.Value) (*string, error) {
	var text string
	switch v.Kind() {
	case 0, 'n':
		return nil, nil
	case '"':
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, bad("The member \"nonce\" is not a string: %v.", err)
		}
		text = string(b)
	case '0':
		if text = string(v); strings.Trim(text, "0123456789") != "" {
			return nil, bad("The member \"nonce\" is %s; it must be a string or a whole number.", shorten(text, maxQuoted))
		}
	default:
		return nil, bad("The member \"nonce\" must be a string or a whole number.")
	}
	return &text, nil
}

// maxQuoted bounds what an answer quotes of a request, in bytes.
const maxQuoted = 64

// shorten cuts s to most bytes or a little less, between characters.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// unsupported answers for a type that the API knows and this service does not.
func unsupported(t string) func(context.Context, *request) (any, error) {
	return func(context.Context, *request) (any, error) {
		return nil, bad("The attestation type %s is not supported by this provider.", t)
	}
}
