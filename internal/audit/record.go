// Package audit keeps the trail of what was changed, tried and denied: records in the shape of management.md section 11.2,
// chained so that a change, a removal or another order shows, in the store and in files beside it. A record never has
// evidence, tokens or policies in it, only hashes of them.
package audit

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// MaxRecord is the largest record in bytes. The bounds of its texts keep it below.
const MaxRecord = 16 << 10

// Record is one request, or one thing that the service did by itself. Time, Operation, Category and Status
// are needed. Texts that are too long are cut.
type Record struct {
	Time            time.Time
	ResourceID      string // the ARM id of the provider
	Region          string
	Location        string
	Operation       Operation
	Category        Category
	Status          int // of the answer, as in HTTP
	Duration        time.Duration
	CallerIPAddress string
	Trace           Trace
	Identity        Identity
	URL             *url.URL // as requested, with scheme and host; nil for what nobody has requested
	Properties      Properties
}

// Trace is the W3C trace context of a request.
type Trace struct {
	TraceID  string // 32 hex digits
	ParentID string // 16 hex digits
}

// Identity is who it was, as the token or certificate of the caller says.
type Identity struct {
	UPN      string // user name, for people
	ObjectID string
	ID       string // of the caller among all: issuer and subject, or the fingerprint of a certificate
}

// Properties are what is particular to the operation.
type Properties struct {
	Failure        Failure
	FailureDetails string // the message that the client got
	Received       Received

	RequestID string
	Provider  string // its name
	Check     string // of refused evidence, policies and tokens: the word for the check that failed (native.md section 1.3)
	Code      string // the error code of the answer
	Before    string // the hash of the policy's JWS, of the signer set, or of the provider, or the id of a key, before the change
	After     string // and after it
}

// Received describes the request without its content.
type Received struct {
	UserAgent     string
	HeaderCount   int
	ContentType   string
	ContentLength int64
	CookieCount   int
	TraceParent   string
}

// timeLayout has the seven decimals of recorded ones.
const timeLayout = "2006-01-02T15:04:05.0000000Z"

// The members of a record and their order (management.md section 11.2). What is not known is an empty text.
type recordJSON struct {
	Time            string         `json:"Time"`
	ResourceID      string         `json:"resourceId"`
	Region          string         `json:"region"`
	Location        string         `json:"location"`
	Operation       string         `json:"operationName"`
	Category        string         `json:"category"`
	Level           string         `json:"level"`
	ResultType      string         `json:"resultType"`
	ResultSignature string         `json:"resultSignature"`
	DurationMs      int64          `json:"durationMs"`
	CallerIPAddress string         `json:"callerIpAddress"`
	TraceContext    string         `json:"traceContext"`
	Identity        string         `json:"identity"`
	URI             string         `json:"uri"`
	Properties      propertiesJSON `json:"properties"`
}

type traceJSON struct {
	TraceID  string `json:"traceId"`
	ParentID string `json:"parentId"`
}

type identityJSON struct {
	UPN      string `json:"callerAadUPN"`
	ObjectID string `json:"callerAadObjectId"`
	ID       string `json:"callerId"`
}

type propertiesJSON struct {
	FailureResourceID string       `json:"failureResourceId"`
	FailureCategory   string       `json:"failureCategory"`
	FailureDetails    string       `json:"failureDetails"`
	Received          receivedJSON `json:"infoDataReceived"`
	RequestID         string       `json:"requestId,omitzero"`
	Provider          string       `json:"provider,omitzero"`
	Check             string       `json:"check,omitzero"`
	Code              string       `json:"code,omitzero"`
	Before            string       `json:"before,omitzero"`
	After             string       `json:"after,omitzero"`
}

type receivedJSON struct {
	Headers       headersJSON `json:"Headers"`
	HeaderCount   int         `json:"HeaderCount"`
	ContentType   string      `json:"ContentType"`
	ContentLength int64       `json:"ContentLength"`
	CookieCount   int         `json:"CookieCount"`
	TraceParent   string      `json:"TraceParent"`
}

type headersJSON struct {
	UserAgent string `json:"User-Agent"`
}

// Marshal writes the record as compact JSON, the same bytes each time. The error says what a record must have.
func (r Record) Marshal() ([]byte, error) {
	if r.Time.IsZero() || r.Operation == "" || r.Category == "" || r.Status == 0 {
		return nil, fmt.Errorf("audit record %q of category %q at %s with status %d: none of these may be missing", r.Operation, r.Category, r.Time, r.Status)
	}
	trace, err := embedded(traceJSON{bounded(r.Trace.TraceID, maxWord), bounded(r.Trace.ParentID, maxWord)})
	if err != nil {
		return nil, err
	}
	who, err := embedded(identityJSON{bounded(r.Identity.UPN, maxName), bounded(r.Identity.ObjectID, maxWord), bounded(r.Identity.ID, maxName)})
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(recordJSON{
		Time: r.Time.UTC().Format(timeLayout), ResourceID: bounded(r.ResourceID, maxName), Region: bounded(r.Region, maxWord),
		Location: bounded(r.Location, maxWord), Operation: bounded(string(r.Operation), maxWord),
		Category: bounded(string(r.Category), maxWord), Level: r.level(), ResultType: r.resultType(),
		ResultSignature: strconv.Itoa(r.Status), DurationMs: r.Duration.Milliseconds(),
		CallerIPAddress: bounded(r.CallerIPAddress, maxWord), TraceContext: trace, Identity: who, URI: cleanURI(r.URL),
		Properties: r.properties(),
	})
	if err == nil && len(b) > MaxRecord {
		err = errors.New("longer than the bounds of its texts allow")
	}
	if err != nil {
		return nil, fmt.Errorf("writing an audit record: %w", err)
	}
	return b, nil
}

// embedded is an object as the text of a member.
func embedded(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("writing an audit record: %w", err)
	}
	return string(b), nil
}

func (r Record) failed() bool { return r.Status >= 400 }

func (r Record) level() string {
	if r.failed() {
		return "Error"
	}
	return "Informational"
}

// resultType says whether the request was processed; a refusal is processing, and shows in the status.
func (r Record) resultType() string {
	if r.Status >= 500 {
		return "Failed"
	}
	return "Succeeded"
}

func (r Record) properties() propertiesJSON {
	p, in := r.Properties, r.Properties.Received
	out := propertiesJSON{
		FailureCategory: string(NoFailure),
		Received: receivedJSON{
			Headers: headersJSON{bounded(in.UserAgent, maxName)}, HeaderCount: in.HeaderCount, ContentType: bounded(in.ContentType, maxWord),
			ContentLength: in.ContentLength, CookieCount: in.CookieCount, TraceParent: bounded(in.TraceParent, maxWord),
		},
		RequestID: bounded(p.RequestID, maxWord), Provider: bounded(p.Provider, maxWord), Check: bounded(p.Check, maxWord),
		Code: bounded(p.Code, maxWord), Before: bounded(p.Before, maxWord), After: bounded(p.After, maxWord),
	}
	if r.failed() {
		out.FailureResourceID = bounded(r.ResourceID, maxName)
		out.FailureCategory = r.failure()
		out.FailureDetails = bounded(p.FailureDetails, maxDetails)
	}
	return out
}

// failure is the category of a failure, after the status if the caller gives none.
func (r Record) failure() string {
	switch f := r.Properties.Failure; {
	case f != "":
		return bounded(string(f), maxWord)
	case r.Status == 401 || r.Status == 403:
		return string(Authorization)
	case r.Status < 500:
		return string(BadRequest)
	}
	return string(Fault)
}
