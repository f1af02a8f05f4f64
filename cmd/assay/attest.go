package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

// apiVersion is the version of the service's API that requests ask for.
const apiVersion = "2022-08-01"

// maxAnswer bounds the answer of a service: the largest token, and the JSON around it.
const maxAnswer = result.MaxTokenSize + 1<<10

// attestation is one run of attest: its flags, and what they name.
type attestation struct {
	kind     evidence.Type
	evidence []byte
	party    party // the service as the issuer of the token
	bearer   func(context.Context) (string, error)
	runtime  runtimeData
	nonce    string
	draft    []byte // nil: none
	raw      bool
}

func (a *attestation) declare(c *call) {
	c.StringVar(&a.party.issuer, "endpoint", "", "`URL` of the service, which must be the issuer of the token too")
	c.clientVar(&a.party.client, "ca")
	c.runtimeVar(&a.runtime)
	c.StringVar(&a.nonce, "nonce", "", "`TEXT` that the token must repeat")
	c.fileVar(&a.draft, "draft-policy", "try the policy in `FILE`; the answer is not signed")
	c.BoolVar(&a.raw, "raw", false, "print the token alone, as it came")
	a.declareBearer(c)
}

// declareBearer declares the three ways to give a bearer token, of which one may be used.
func (a *attestation) declareBearer(c *call) {
	a.bearer = func(context.Context) (string, error) { return "", nil }
	c.Func("token", "bearer `TOKEN` to send", func(s string) error {
		a.bearer = func(context.Context) (string, error) { return s, nil }
		return nil
	})
	c.Func("token-file", "bearer token to send, in `FILE`", func(file string) error {
		b, err := c.read(file)
		a.bearer = func(context.Context) (string, error) { return strings.TrimSpace(string(b)), nil }
		return err
	})
	c.Func("token-command", "bearer token to send, printed by the shell `COMMAND`", func(line string) error {
		a.bearer = func(ctx context.Context) (string, error) {
			command := exec.CommandContext(ctx, "sh", "-c", line)
			command.Stderr = c.stderr
			b, err := command.Output()
			if err != nil {
				return "", badFile(fmt.Errorf("--token-command: %w", err))
			}
			return strings.TrimSpace(string(b)), nil
		}
		return nil
	})
}

// attestBody is the body of an attest request (api.md sections 4 and 7).
type attestBody struct {
	Quote       string    `json:"quote,omitzero"`
	Report      string    `json:"report,omitzero"`
	RuntimeData *dataBody `json:"runtimeData,omitzero"`
	Nonce       string    `json:"nonce,omitzero"`
	Draft       string    `json:"draftPolicyForAttestation,omitzero"`
}

type dataBody struct {
	Data     string `json:"data"`
	DataType string `json:"dataType"`
}

// attestBodyFor makes the body for evidence of a type, which decides how the member is called.
func attestBodyFor(t evidence.Type, b []byte, runtime *runtimeData) *attestBody {
	body := &attestBody{}
	if t == evidence.OpenEnclave {
		body.Report = b64.URL(b)
	} else {
		body.Quote = b64.URL(b)
	}
	if runtime.bytes != nil {
		body.RuntimeData = &dataBody{b64.URL(runtime.bytes), "Binary"}
		if runtime.json {
			body.RuntimeData.DataType = "JSON"
		}
	}
	return body
}

// runAttest sends evidence to a service and verifies the answer as a relying party (native.md section 1.4).
func runAttest(ctx context.Context, c *call) error {
	a := &attestation{}
	a.declare(c)
	pos, err := c.parse("TYPE", "FILE", "--endpoint")
	if err != nil {
		return err
	}
	if err := c.exclusive("token", "token-file", "token-command"); err != nil {
		return err
	}
	if a.kind, err = evidenceType(pos[0]); err != nil {
		return usage("TYPE %q: %w", pos[0], err)
	}
	if err := a.sendable(); err != nil {
		return err
	}
	if a.evidence, err = c.read(pos[1]); err != nil {
		return err
	}
	verifier, err := c.relyingParty(a.party)
	if err != nil {
		return err
	}
	request, err := a.request(ctx)
	if err != nil {
		return err
	}
	token, err := post(a.party.client, request)
	if err != nil {
		return c.tellService(err)
	}
	report, err := a.judge(ctx, verifier, token)
	report.Token = token
	if a.raw && err == nil {
		return c.printRaw(report)
	}
	return c.tellToken(report, err)
}

// sendable refuses what a service would take for absent, so that the answer would not be about it, and what no request
// can hold.
func (a *attestation) sendable() error {
	switch {
	case a.runtime.bytes != nil && len(a.runtime.bytes) == 0:
		return badFile(errors.New("--runtime-data: the file is empty, which is no data to the service: nothing would be bound"))
	case a.draft != nil && len(a.draft) == 0:
		return badFile(errors.New("--draft-policy: the file is empty, which is no policy to the service: none would be tried"))
	case !utf8.Valid(a.draft):
		return badFile(errors.New("--draft-policy: the file is no text in UTF-8"))
	case !utf8.ValidString(a.nonce):
		return usage("--nonce %q: expected text in UTF-8", a.nonce)
	}
	return nil
}

// judge verifies the answer. A draft's answer is not signed and is not verified; any other one must be.
func (a *attestation) judge(ctx context.Context, v *relyingparty.Verifier, token string) (*tokenReport, error) {
	report, err := unverified(token)
	if err != nil || a.draft != nil && !report.Signed {
		return report, err
	}
	var requirements []relyingparty.Requirement
	if a.nonce != "" {
		requirements = append(requirements, relyingparty.Claim{Name: "nonce", Value: a.nonce})
	}
	return verified(ctx, v, token, requirements)
}

func (c *call) printRaw(r *tokenReport) error {
	if !r.Signed {
		fmt.Fprintln(c.stderr, "assay: warning: UNSIGNED: the answer to a draft policy proves nothing")
	}
	_, err := fmt.Fprintln(c.stdout, r.Token)
	return err
}

// tellService shows a refusal by the service as the result; everything else is for standard error.
func (c *call) tellService(err error) error {
	var answer *serviceError
	if c.json || !errors.As(err, &answer) || answer.Status == 0 {
		return err
	}
	s := c.sheet()
	verdict := "REFUSED"
	if answer.Status >= 500 {
		verdict = "UNAVAILABLE"
	}
	s.heading(red, verdict, fmt.Sprintf("the service answered %d %s", answer.Status, http.StatusText(answer.Status)))
	s.rows(row{"code", answer.Code}, row{"message", answer.Message})
	return told{err}
}

// request makes the request to the service.
func (a *attestation) request(ctx context.Context) (*http.Request, error) {
	bearer, err := a.bearer(ctx)
	if err != nil {
		return nil, err
	}
	body := attestBodyFor(a.kind, a.evidence, &a.runtime)
	body.Nonce, body.Draft = a.nonce, string(a.draft)
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	u := strings.TrimSuffix(a.party.issuer, "/") + "/attest/" + string(a.kind) + "?api-version=" + apiVersion
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u, bytes.NewReader(b))
	if err != nil {
		return nil, usage("--endpoint: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	return request, nil
}

// post sends the request and returns the token. Redirects are not followed: evidence and bearer token are for the
// endpoint that was named. The error is a *serviceError.
func post(client *http.Client, request *http.Request) (string, error) {
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return "", &serviceError{err: fmt.Errorf("the service could not be reached: %w", err)}
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", &serviceError{err: fmt.Errorf("reading the answer of the service: %w", err)}
	}
	if response.StatusCode != http.StatusOK {
		return "", refusedBy(response, b)
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := strictjson.Folded(b, &answer); err != nil {
		return "", &serviceError{err: fmt.Errorf("the service answered 200 with something that is no token: %w", err)}
	}
	if answer.Token == "" {
		return "", &serviceError{err: errors.New("the service answered 200 without a token; is it an attestation service?")}
	}
	return answer.Token, nil
}

// refusedBy reads the error body of the service (api.md section 6.3); one that is not of its form is shown as it is.
func refusedBy(response *http.Response, b []byte) *serviceError {
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := strictjson.Folded(b, &body); err != nil || body.Error.Code == "" {
		body.Error.Message = shorten(strings.TrimSpace(string(b)))
	}
	message := body.Error.Message
	if after := response.Header.Get("Retry-After"); after != "" && response.StatusCode >= 500 {
		message += "; retry after " + after + " s"
	}
	return &serviceError{Status: response.StatusCode, Code: body.Error.Code, Message: message}
}
