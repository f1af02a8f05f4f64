package collateral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// IntelPCS is the base URL of Intel's provisioning certification service.
const IntelPCS = "https://api.trustedservices.intel.com"

const (
	webTimeout     = 20 * time.Second // one request, if the context does not end before
	maxConnections = 2 * maxNewcomers // to one host: renewals find one however many newcomers hang
	maxHeader      = 64 << 10         // bytes of the answer's header, which carries the issuer chain
)

// Dialect names one of the services that speak Intel's protocol with differences of their own (sgx-tdx.md sections 6.1
// to 6.3).
type Dialect string

// The dialects. The empty one stands for the one that host and path of the URL suggest: PCS on Intel's hosts, THIM on
// Azure's and on any path that ends in v3, which Intel itself has given up, PCCS on all others.
const (
	PCS  Dialect = "pcs"  // Intel's own service; its root CRL lies on another host
	PCCS Dialect = "pccs" // Intel's caching service: the root CRL is hex text below the same path
	THIM Dialect = "thim" // Azure's cache: asks who calls, and has CRLs by the URL they came from
)

// habits is what sets a dialect apart.
type habits struct {
	version string      // of the protocol, if the URL does not name one
	rootCRL string      // a whole URL, or a path below the base
	crlURI  bool        // a PCK CRL is named by its URL too
	query   url.Values  // sent with every request
	header  http.Header // likewise
}

func (d Dialect) habits() habits {
	switch d {
	case PCS:
		return habits{version: "v4", rootCRL: "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"}
	case THIM:
		return habits{
			version: "v3", rootCRL: "rootcacrl", crlURI: true,
			query:  url.Values{"clientid": {"production_client"}, "api-version": {"2021-07-22-preview"}},
			header: http.Header{"Metadata": {"true"}},
		}
	default:
		return habits{version: "v4", rootCRL: "rootcacrl"}
	}
}

// pckCRL is the query for a PCK CRL. Its URL is the distribution point in PCK certificates.
func (h habits) pckCRL(kind dcap.CAKind) url.Values {
	q := url.Values{"ca": {string(kind)}, "encoding": {"der"}}
	if h.crlURI {
		q.Set("uri", IntelPCS+"/sgx/certification/v3/pckcrl?"+q.Encode())
	}
	return q
}

// WebConfig describes a service on the network.
type WebConfig struct {
	// URL is the base, such as [IntelPCS]. A path that ends in v3 or v4 is used as it is; any other gets the dialect's
	// version; no path at all means /sgx/certification.
	URL     string
	Dialect Dialect
	// Client replaces the default HTTP client, for instance to trust the certificate of a PCCS.
	Client *http.Client
}

// Web is a [Source] on the network: Intel's service, a PCCS or Azure's cache.
type Web struct {
	base    *url.URL              // of revocation lists
	tees    map[dcap.TEE]*url.URL // of TCB info and QE identity; without those that the URL does not tell
	rootCRL *url.URL
	habits  habits
	client  *http.Client
}

// NewWeb prepares a source; it makes no request. The error says what is wrong with the URL.
func NewWeb(cfg WebConfig) (*Web, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("collateral source: %w", err)
	}
	if base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("collateral source %q: expected an http or https URL", cfg.URL)
	}
	if cfg.Dialect == "" {
		cfg.Dialect = dialectOf(base)
	}
	w := &Web{habits: cfg.Dialect.habits(), client: cfg.Client}
	if w.client == nil {
		w.client = newClient()
	}
	w.base = versioned(base, w.habits.version)
	w.tees = perTEE(w.base)
	if w.rootCRL, err = url.Parse(w.habits.rootCRL); err != nil {
		return nil, fmt.Errorf("root CRL of %s: %w", cfg.Dialect, err)
	}
	if !w.rootCRL.IsAbs() {
		w.rootCRL = w.base.JoinPath(w.habits.rootCRL)
	}
	return w, nil
}

// newClient follows no redirect: the host is chosen by the configuration alone.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxConnsPerHost = maxConnections
	t.MaxResponseHeaderBytes = maxHeader
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: t, Timeout: webTimeout, CheckRedirect: stay}
}

func dialectOf(base *url.URL) Dialect {
	host := base.Hostname()
	switch {
	case strings.HasSuffix(host, ".trustedservices.intel.com"):
		return PCS
	case strings.HasSuffix(host, ".azure.net"), host == "169.254.169.254", path.Base(base.Path) == "v3":
		return THIM
	}
	return PCCS
}

// versioned completes the path of base by what it lacks of /sgx/certification/vN.
func versioned(base *url.URL, version string) *url.URL {
	switch path.Base(base.Path) {
	case "v3", "v4":
		return base
	case "/", ".":
		return base.JoinPath("sgx/certification", version)
	}
	return base.JoinPath(version)
}

// perTEE gives the bases of documents by TEE. Intel's path names the TEE before its last parts, and began with TDX in version 4. A path
// of another form is that of SGX.
func perTEE(base *url.URL) map[dcap.TEE]*url.URL {
	folder, version := path.Split("/" + strings.Trim(base.Path, "/"))
	prefix, known := strings.CutSuffix(folder, "/sgx/certification/")
	if !known {
		prefix, known = strings.CutSuffix(folder, "/tdx/certification/")
	}
	if !known {
		return map[dcap.TEE]*url.URL{dcap.SGX: base}
	}
	sgx, tdx := *base, *base
	sgx.Path, sgx.RawPath = prefix+"/sgx/certification/"+version, ""
	tdx.Path, tdx.RawPath = prefix+"/tdx/certification/v4", ""
	return map[dcap.TEE]*url.URL{dcap.SGX: &sgx, dcap.TDX: &tdx}
}

// TCBInfo implements [Source].
func (w *Web) TCBInfo(ctx context.Context, tee dcap.TEE, fmspc dcap.FMSPC, evaluation string) (doc, issuerChain []byte, err error) {
	q := selector(evaluation)
	q.Set("fmspc", fmspc.String())
	r, err := w.signed(ctx, key{kind: TCBInfo, tee: tee, fmspc: fmspc, evaluation: evaluation}, "tcb", q,
		"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain")
	return r.Document, r.Chain, err
}

// QEIdentity implements [Source].
func (w *Web) QEIdentity(ctx context.Context, tee dcap.TEE, evaluation string) (doc, issuerChain []byte, err error) {
	r, err := w.signed(ctx, key{kind: QEIdentity, tee: tee, evaluation: evaluation}, "qe/identity", selector(evaluation),
		"SGX-Enclave-Identity-Issuer-Chain", "SGX-QE-Identity-Issuer-Chain")
	return r.Document, r.Chain, err
}

// signed gets one of the documents that each TEE has of its own.
func (w *Web) signed(ctx context.Context, item key, name string, q url.Values, chainHeaders ...string) (raw, error) {
	base := w.tees[item.tee]
	if base == nil {
		err := fmt.Errorf("the URL of the source does not tell where those for TDX are: expected a path with /sgx/certification, found %q: %w", w.base.Path, ErrAbsent)
		return raw{}, &Unavailable{Item: item.String(), Err: err}
	}
	return w.get(ctx, item, base.JoinPath(name), q, chainHeaders...)
}

// PCKCRL implements [Source].
func (w *Web) PCKCRL(ctx context.Context, kind dcap.CAKind) ([]byte, error) {
	r, err := w.get(ctx, key{kind: PCKCRL, ca: kind}, w.base.JoinPath("pckcrl"), w.habits.pckCRL(kind))
	return r.Document, err
}

// RootCRL implements [Source].
func (w *Web) RootCRL(ctx context.Context) ([]byte, error) {
	r, err := w.get(ctx, key{kind: RootCRL}, w.rootCRL, url.Values{})
	return r.Document, err
}

func selector(evaluation string) url.Values {
	if evaluation == Standard || evaluation == Early {
		return url.Values{"update": {evaluation}}
	}
	return url.Values{"tcbEvaluationDataNumber": {evaluation}}
}

// get makes one request. The issuer chain is taken from the first of chainHeaders that the answer has; one must be
// there if any is named. Every error is an [Unavailable].
func (w *Web) get(ctx context.Context, item key, u *url.URL, q url.Values, chainHeaders ...string) (raw, error) {
	maps.Copy(q, w.habits.query)
	at := *u
	at.RawQuery = q.Encode()
	res, err := w.send(ctx, at.String())
	if err != nil {
		return raw{}, &Unavailable{Item: item.String(), Err: upstream(&at, "could not be reached", err)}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return raw{}, refused(item, &at, res)
	}
	r, err := answer(res, chainHeaders)
	if err != nil {
		return raw{}, &Unavailable{Item: item.String(), Err: upstream(&at, "gave an unusable answer", err)}
	}
	return r, nil
}

func (w *Web) send(ctx context.Context, to string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, w.habits.header)
	res, err := w.client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // it names method and URL, as the caller does
	}
	return res, err
}

// refused makes an error of an answer other than 200. Beside 404 and 410, a PCCS says by 460 to 462 that Intel does not
// know the platform. 429 and 503 may say how long the source wants to be left alone.
func refused(item key, u *url.URL, res *http.Response) error {
	err := fmt.Errorf("status %d", res.StatusCode)
	var after time.Duration
	switch res.StatusCode {
	case http.StatusNotFound, http.StatusGone, 460, 461, 462:
		err = fmt.Errorf("%w: %w", err, ErrAbsent)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after = retryAfter(res.Header, time.Now())
	}
	return &Unavailable{item.String(), after, upstream(u, fmt.Sprintf("answered with status %d", res.StatusCode), err)}
}

// upstream is a request to a source that gave nothing usable. The outcome is for those who may not know the source.
func upstream(u *url.URL, outcome string, err error) error {
	return &cause{"the source of collateral " + outcome, fmt.Errorf("GET %s: %w", u.Redacted(), err)}
}

// retryAfter reads the header of that name, in seconds or as a date; zero if there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// answer reads the body and the chain. The chain is decoded as a path is, where + stays (sgx-tdx.md section 6.1).
func answer(res *http.Response, chainHeaders []string) (raw, error) {
	body, err := readBounded(res.Body, MaxDocument)
	if err != nil {
		return raw{}, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return raw{}, errors.New("empty answer")
	}
	for _, name := range chainHeaders {
		if v := res.Header.Get(name); v != "" {
			chain, err := url.PathUnescape(v)
			if err != nil {
				return raw{}, fmt.Errorf("header %s: %w", name, err)
			}
			return raw{body, []byte(chain)}, nil
		}
	}
	if len(chainHeaders) > 0 {
		return raw{}, fmt.Errorf("no issuer chain: expected header %s", strings.Join(chainHeaders, " or "))
	}
	return raw{Document: body}, nil
}

// readBounded reads r to its end, which must come within limit bytes.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}
