package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"

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

// attestFlags are the flags of attest.
type attestFlags struct {
	endpoint, ca                   string
	token, tokenFile, tokenCommand string
	runtimeData, runtimeType       *string
	nonce, draft                   string
	raw                            bool
}

func (f *attestFlags) declare(c *call) {
	c.StringVar(&f.endpoint, "endpoint", "", "`URL` of the service, which must be the issuer of the token too")
	c.StringVar(&f.ca, "ca", "", "trust the certificates in `FILE` for the connection, too")
	c.StringVar(&f.token, "token", "", "bearer `TOKEN` to send")
	c.StringVar(&f.tokenFile, "token-file", "", "bearer token to send, in `FILE`")
	c.StringVar(&f.tokenCommand, "token-command", "", "bearer token to send, printed by the shell `COMMAND`")
	f.runtimeData, f.runtimeType = declareRuntimeData(c)
	c.StringVar(&f.nonce, "nonce", "", "`TEXT` that the token must repeat")
	c.StringVar(&f.draft, "draft-policy", "", "try the policy in `FILE`; the answer is not signed")
	c.BoolVar(&f.raw, "raw", false, "print the token alone, as it came")
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
	if runtime != nil {
		body.RuntimeData = &dataBody{b64.URL(runtime.bytes), "Binary"}
		if runtime.json {
			body.RuntimeData.DataType = "JSON"
		}
	}
	return body
}

// runAttest sends evidence to a service and verifies the answer as a relying party (native.md section 1.4).
func runAttest(ctx context.Context, c *call) error {
	var f attestFlags
	f.declare(c)
	pos, err := c.parse("TYPE", "FILE")
	if err != nil {
		return err
	}
	if f.endpoint == "" {
		return usage("--endpoint is missing")
	}
	kind, err := evidenceType(pos[0])
	if err != nil {
		return err
	}
	client, err := c.client(f.ca)
	if err != nil {
		return err
	}
	verifier, err := c.relyingParty(party{issuer: f.endpoint, client: client})
	if err != nil {
		return err
	}
	request, err := c.attestRequest(ctx, kind, pos[1], &f)
	if err != nil {
		return err
	}
	token, err := post(client, request)
	if err != nil {
		return c.tellService(err)
	}
	report, err := judgeAnswer(ctx, verifier, token, &f)
	report.Token = token
	if f.raw && err == nil {
		return c.printRaw(report)
	}
	return c.tellToken(report, err)
}

// judgeAnswer verifies the token. A draft's answer is not signed and is not verified; any other one must be.
func judgeAnswer(ctx context.Context, v *relyingparty.Verifier, token string, f *attestFlags) (*tokenReport, error) {
	report, err := unverified(token)
	if err != nil || f.draft != "" && !report.Signed {
		return report, err
	}
	var requirements []relyingparty.Requirement
	if f.nonce != "" {
		requirements = append(requirements, relyingparty.Claim{Name: "nonce", Value: f.nonce})
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

// attestRequest reads all that goes into the request.
func (c *call) attestRequest(ctx context.Context, t evidence.Type, file string, f *attestFlags) (*http.Request, error) {
	runtime, err := c.runtimeData(*f.runtimeData, *f.runtimeType)
	if err != nil {
		return nil, err
	}
	raw, err := c.read(file)
	if err != nil {
		return nil, err
	}
	draft, err := c.readIf(f.draft)
	if err != nil {
		return nil, err
	}
	bearer, err := c.bearer(ctx, f)
	if err != nil {
		return nil, err
	}
	body := attestBodyFor(t, raw, runtime)
	body.Nonce, body.Draft = f.nonce, string(draft)
	b, err := json.Marshal(body)
	if err != nil {
		return nil, usage("the request cannot be written as JSON: %w", err)
	}
	u := strings.TrimSuffix(f.endpoint, "/") + "/attest/" + string(t) + "?api-version=" + url.QueryEscape(apiVersion)
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

// bearer finds the bearer token in the one flag that is given, if any.
func (c *call) bearer(ctx context.Context, f *attestFlags) (string, error) {
	given := 0
	for _, name := range []string{"token", "token-file", "token-command"} {
		if c.isSet(name) {
			given++
		}
	}
	switch {
	case given > 1:
		return "", usage("give only one of --token, --token-file and --token-command")
	case f.tokenFile != "":
		b, err := c.read(f.tokenFile)
		return strings.TrimSpace(string(b)), err
	case f.tokenCommand != "":
		command := exec.CommandContext(ctx, "sh", "-c", f.tokenCommand)
		command.Stderr = c.stderr
		b, err := command.Output()
		if err != nil {
			return "", badFile(fmt.Errorf("--token-command: %w", err))
		}
		return strings.TrimSpace(string(b)), nil
	}
	return f.token, nil
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
