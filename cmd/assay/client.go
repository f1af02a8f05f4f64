package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

// apiVersion is the version of the service's API that requests ask for.
const apiVersion = "2022-08-01"

// maxAnswer bounds the answer of a service: the largest token, and the JSON around it.
const maxAnswer = result.MaxTokenSize + 1<<10

// The kinds of bodies.
const (
	jsonBody = "application/json"
	textBody = "text/plain"
)

// remote is a service to call, and who calls it.
type remote struct {
	party                                          // the service as the issuer of its tokens
	verifier *relyingparty.Verifier                // of those tokens
	bearer   func(context.Context) (string, error) // the token of the caller; nil: none
}

// remoteVar declares the flags that name a service and the caller.
func (c *call) remoteVar(r *remote) {
	c.StringVar(&r.issuer, "endpoint", "", "`URL` of the service, which must be the issuer of its tokens too")
	c.clientVar(&r.client, "ca")
	c.bearerVar(&r.bearer)
}

// bearerVar declares the three ways to give a bearer token, of which one may be used.
func (c *call) bearerVar(bearer *func(context.Context) (string, error)) {
	c.Func("token", "bearer `TOKEN` to send; others on this machine can see it, as they cannot with the next two", func(s string) error {
		*bearer = func(context.Context) (string, error) { return s, nil }
		return nil
	})
	c.Func("token-file", "bearer token to send, in `FILE`", func(file string) error {
		b, err := c.read(file)
		info, statErr := os.Stat(file)
		again := file != "-" && statErr == nil && info.Mode().IsRegular() // as a pipe and standard input cannot be
		*bearer = func(context.Context) (string, error) {
			if again { // its writer replaces it when it ends
				b, err = c.read(file)
			}
			return strings.TrimSpace(string(b)), err
		}
		return err
	})
	c.Func("token-command", "bearer token to send, printed by the shell `COMMAND`", func(line string) error {
		*bearer = func(ctx context.Context) (string, error) {
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

// ready checks the flags of the service and the caller, after parse. What it refuses is sent nothing.
func (r *remote) ready(c *call) (err error) {
	if err := c.exclusive("token", "token-file", "token-command"); err != nil {
		return err
	}
	r.verifier, err = c.relyingParty(r.party)
	return err
}

// message is a request to a service.
type message struct {
	method, path string
	query        url.Values
	kind         string // of the body
	body         []byte // nil: none
	header       http.Header
}

// with adds the api-version that the message asks for.
func (m message) with(version string) message {
	m.query = url.Values{"api-version": {version}}
	return m
}

// jsonMessage makes a message with a value as its body.
func jsonMessage(method, path string, body any) (message, error) {
	b, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		return message{}, fmt.Errorf("writing the request: %w", err)
	}
	return message{method: method, path: path, kind: jsonBody, body: b}, nil
}

// answer is what a service says to a message that it does not refuse.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// read reads the body into v.
func (a *answer) read(v any) error {
	if err := strictjson.Exact(a.body, v); err != nil {
		return &serviceError{err: fmt.Errorf("the service answered %d with something unexpected: %w", a.status, err)}
	}
	return nil
}

// send sends a message and returns the answer, if it is one of success. Redirects are not followed: the message and the bearer
// token are for the endpoint that was named. The error is a *serviceError, or one of the command that prints the bearer token.
func (r *remote) send(ctx context.Context, m message) (*answer, error) {
	request, err := r.request(ctx, m)
	if err != nil {
		return nil, err
	}
	client := *r.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return nil, &serviceError{err: fmt.Errorf("the service could not be reached: %w", err)}
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &serviceError{err: fmt.Errorf("reading the answer of the service: %w", err)}
	case len(b) > maxAnswer:
		return nil, &serviceError{err: fmt.Errorf("the answer of the service is longer than %d bytes", maxAnswer)}
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, refusedBy(response, b)
	}
	return &answer{response.StatusCode, response.Header, b}, nil
}

func (r *remote) request(ctx context.Context, m message) (*http.Request, error) {
	bearer := ""
	if r.bearer != nil {
		var err error
		if bearer, err = r.bearer(ctx); err != nil {
			return nil, err
		}
		if strings.ContainsFunc(bearer, unicode.IsControl) {
			return nil, badFile(errors.New("the bearer token holds a line break or another control character: expected one line"))
		}
	}
	u := strings.TrimSuffix(r.issuer, "/") + m.path
	if len(m.query) > 0 {
		u += "?" + m.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, m.method, u, bytes.NewReader(m.body))
	if err != nil {
		return nil, usage("--endpoint %q: %w", r.issuer, err)
	}
	for name, values := range m.header {
		request.Header[name] = values
	}
	if m.body != nil {
		request.Header.Set("Content-Type", m.kind)
	}
	request.Header.Set("Accept", jsonBody)
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	return request, nil
}

// token sends a message whose answer is a token, and returns the token as it came.
func (r *remote) token(ctx context.Context, m message) (string, error) {
	a, err := r.send(ctx, m)
	if err != nil {
		return "", err
	}
	var body struct {
		Token string `json:"token"`
	}
	if err := strictjson.Folded(a.body, &body); err != nil {
		return "", &serviceError{err: fmt.Errorf("the service answered %d with something that is no token: %w", a.status, err)}
	}
	if body.Token == "" {
		return "", &serviceError{err: fmt.Errorf("the service answered %d without a token; is it an attestation service?", a.status)}
	}
	return body.Token, nil
}

// result sends a message whose answer is a result token, and verifies that as a relying party does (api.md sections 8 and 9).
func (r *remote) result(ctx context.Context, m message) (*relyingparty.Token, error) {
	text, err := r.token(ctx, m)
	if err != nil {
		return nil, err
	}
	token, err := r.verifier.Verify(ctx, text)
	if err != nil && m.method != http.MethodGet {
		err = fmt.Errorf("the service answered that it is done, but whether that is its answer cannot be told: %w", err)
	}
	return token, err
}

// claim holds a claim of a result token against the value that it must have.
func claim(token *relyingparty.Token, name, want string) error {
	if err := token.Require(relyingparty.Claim{Name: name, Value: want}); err != nil {
		return fmt.Errorf("the service answered that it has done something else: %w", err)
	}
	return nil
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
	after := response.Header.Get("Retry-After")
	if _, err := time.ParseDuration(after + "s"); err == nil {
		after += " s"
	}
	if after != "" && (response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests) {
		message += "; retry after " + after
	}
	return &serviceError{Status: response.StatusCode, Code: body.Error.Code, Message: message}
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

// nativeRoutes is the path under which are the operations that only Assay has (docs/api.md).
const nativeRoutes = "/assay/v1"

// native sends a message to an operation that only Assay has and reads the answer into v.
func (r *remote) native(ctx context.Context, m message, v any) error {
	m.path = nativeRoutes + m.path
	a, err := r.send(ctx, m)
	if err != nil {
		return ownOperation(err)
	}
	return a.read(v)
}

// ownOperation says of an operation that was not found that other services than Assay have none of that kind.
func ownOperation(err error) error {
	if refused, ok := errors.AsType[*serviceError](err); ok && refused.Status == http.StatusNotFound {
		refused.Message = strings.TrimSpace(refused.Message + " (if the service is not Assay: only Assay has this operation)")
	}
	return err
}
