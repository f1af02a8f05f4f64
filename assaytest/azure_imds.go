package assaytest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
)

// AzureItem is something that the metadata service hands out.
type AzureItem string

// The items of an [IMDS].
const (
	IMDSCertification AzureItem = "certificates of the chip"
	IMDSQuote         AzureItem = "quote of a TD"
	IMDSRenewal       AzureItem = "certificate of the attestation key"
)

// IMDS is an HTTP handler that answers as Azure's metadata service at 169.254.169.254 does (azure-guest.md section 1):
//
//	GET  /metadata/THIM/amd/certification        {"vcekCert", "tcbm", "certificateChain", "cacheControl"}
//	POST /acc/tdquote                            {"report": base64url of a TDREPORT} gives {"quote": base64url}
//	POST /metadata/THIM/tvm/certificate/renew    a certificate in PEM, escaped as in a path, gives {"certificate": PEM}; the name of the
//	                                             member is a guess
//
// All but /acc want the header Metadata: true, which no client sends there. What does not fit the isolation of the host is not found. An IMDS can be told to fail,
// and counts requests. It is safe for concurrent use.
type IMDS struct {
	*office[AzureItem, AzureHost]
	host *AzureHost
	mux  *http.ServeMux
}

// NewIMDS returns the metadata service of h, whose items are [IMDSCertification], [IMDSQuote] and [IMDSRenewal].
func NewIMDS(h *AzureHost) *IMDS {
	m := &IMDS{office: newOffice[AzureItem, AzureHost](), host: h, mux: http.NewServeMux()}
	m.mux.HandleFunc("GET /metadata/THIM/amd/certification", metadata(m.item(IMDSCertification, serveCertification)))
	m.mux.HandleFunc("POST /acc/tdquote", m.item(IMDSQuote, serveQuote))
	m.mux.HandleFunc("POST /metadata/THIM/tvm/certificate/renew", metadata(m.item(IMDSRenewal, serveRenewal)))
	return m
}

// ServeHTTP answers a request.
func (m *IMDS) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// metadata refuses requests without the header that no other site can have a browser send.
func metadata(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Metadata"), "true") {
			http.Error(w, `{"error": "Bad request. Required metadata header not specified"}`, http.StatusBadRequest)
			return
		}
		next(w, r)
	}
}

// item is the handler of requests for an item.
func (m *IMDS) item(item AzureItem, issue func(*AzureHost, *http.Request) (answer, error)) http.HandlerFunc {
	return m.serve(item, func(r *http.Request, change func(*AzureHost)) (answer, error) {
		h := m.host.clone()
		if change != nil {
			change(h)
		}
		return issue(h, r)
	})
}

func serveCertification(h *AzureHost, _ *http.Request) (answer, error) {
	if h.Isolation != AzureSevSnp {
		return answer{}, &statusError{http.StatusNotFound, "not a SEV-SNP guest"}
	}
	leaf, err := h.SNP.pem(VCEK)
	if err != nil {
		return answer{}, err
	}
	chain, err := h.SNP.join(ASK, ARK)
	if err != nil {
		return answer{}, err
	}
	tcb := binary.LittleEndian.Uint64(h.SNP.TCB.bytes(h.SNP.Product))
	return jsonAnswer(object(member{"vcekCert", text(string(leaf))}, member{"tcbm", text(fmt.Sprintf("%016X", tcb))},
		member{"certificateChain", text(string(chain))}, member{"cacheControl", text("86400")})), nil
}

func jsonAnswer(body []byte) answer { return answer{contentType: "application/json", body: body} }

// maxIMDSRequest bounds the body of a request in bytes.
const maxIMDSRequest = 16 << 10

func serveQuote(h *AzureHost, r *http.Request) (answer, error) {
	if h.Isolation != AzureTdx {
		return answer{}, &statusError{http.StatusNotFound, "not a TD"}
	}
	var request struct {
		Report string `json:"report"`
	}
	if err := json.UnmarshalRead(io.LimitReader(r.Body, maxIMDSRequest), &request); err != nil {
		return answer{}, &statusError{http.StatusBadRequest, err.Error()}
	}
	report, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(request.Report, "="))
	if err != nil {
		return answer{}, &statusError{http.StatusBadRequest, "report is not base64url"}
	}
	quote, err := h.Quote(report)
	if err != nil {
		return answer{}, &statusError{http.StatusBadRequest, err.Error()}
	}
	return jsonAnswer(object(member{"quote", binaryText(quote)})), nil
}

// serveRenewal certifies the key of a certificate anew.
func serveRenewal(h *AzureHost, r *http.Request) (answer, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxIMDSRequest))
	if err != nil {
		return answer{}, err
	}
	key, err := certifiedKey(string(body))
	if err != nil {
		return answer{}, &statusError{http.StatusBadRequest, err.Error()}
	}
	der, err := h.AKCertificate(key)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(object(member{"certificate", text(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))})), nil
}

// certifiedKey is the RSA key of a certificate in PEM, escaped as in a path.
func certifiedKey(escaped string) (*rsa.PublicKey, error) {
	text, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no certificate in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a certificate of a %T", c.PublicKey)
	}
	return key, nil
}
