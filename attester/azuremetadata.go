package attester

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The metadata service of Azure (IMDS; azure-guest.md section 1).
const (
	azureMetadataURL = "http://169.254.169.254"
	amdCertificates  = "/metadata/THIM/amd/certification"
	tdQuote          = "/acc/tdquote"
)

// Bounds of what is asked of the metadata service.
const (
	metadataTries   = 4
	metadataTime    = 10 * time.Second // for one answer
	metadataPause   = time.Second      // before the second try; doubled with each further one
	maxRetryAfter   = 30 * time.Second // as long as a service is obeyed
	maxMetadata     = 128 << 10        // bytes of an answer; real ones have up to 10 KB
	certificatePair = 2                // tries for a certificate that fits the report
)

// AzureMetadata is the metadata service that Azure has for each of its machines. The zero value is that of this machine.
type AzureMetadata struct {
	URL string // empty: http://169.254.169.254
	// Client asks it; nil: one that takes no proxy, since no other machine may see or answer these requests. Redirects are not followed.
	Client *http.Client
}

// withoutProxy is a client that asks the machine's own host, and nobody in between.
func withoutProxy() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

// prove gets what proves the report of the hardware: certificates of AMD's, or a quote.
func (c *azureCollection) prove(ctx context.Context) (err error) {
	if c.hardware.container == nil {
		return nil
	}
	if c.hardware.container.Type == hcl.TDX {
		c.proof, err = c.tdQuote(ctx)
	} else {
		c.proof, err = c.snpProof(ctx)
	}
	return err
}

// tdQuote has the host make a quote of the TDREPORT.
func (c *azureCollection) tdQuote(ctx context.Context) ([]byte, error) {
	body, err := json.Marshal(struct {
		Report string `json:"report"`
	}{b64.URL(c.hardware.container.Hardware)})
	if err != nil {
		return nil, fmt.Errorf("writing a message: %w", err)
	}
	answer, err := c.metadata(ctx, http.MethodPost, tdQuote, body)
	if err != nil {
		return nil, err
	}
	var document struct {
		Quote string `json:"quote"`
	}
	if err = strictjson.Folded(answer, &document); err != nil {
		return nil, notMetadata(tdQuote, err)
	}
	quote, err := b64.Decode(document.Quote)
	if err != nil {
		return nil, notMetadata(tdQuote, err)
	}
	q, err := tdx.Parse(quote)
	if err != nil {
		return nil, notMetadata(tdQuote, err)
	}
	return quote, asked(q.Report.ReportData, c.hardware.container.ReportData())
}

// snpProof gets the certificates that fit the report. After an update of the firmware both change, and a cached pair may not fit.
func (c *azureCollection) snpProof(ctx context.Context) ([]byte, error) {
	report, err := snp.ParseReport(c.hardware.container.Hardware)
	if err != nil {
		return nil, problem("the report of SEV-SNP in index 01400001 cannot be read", "look whether this program is new enough for the machine", err)
	}
	want := tcbm(report.ReportedTCB)
	var found string
	for try := range certificatePair {
		if try > 0 {
			if err := c.options.Pause(ctx, azureRefresh); err != nil {
				return nil, err
			}
		}
		var chain []byte
		if found, chain, err = c.amdChain(ctx); err != nil {
			return nil, err
		}
		if strings.EqualFold(found, want) {
			return azureProof(c.hardware.container.Hardware, chain)
		}
	}
	return nil, problem("the certificate of the metadata service does not fit the report of the hardware: expected the TCB "+want+", found "+shortened(found),
		"restart the machine: its host's firmware was updated, and the report in the TPM is of before or the certificate is; if that lasts, tell Azure", nil)
}

// tcbm writes a TCB as the metadata service does: sixteen hex digits, most significant byte first (azure-guest.md section 1).
func tcbm(t snp.TCB) string {
	b := slices.Clone(t[:])
	slices.Reverse(b)
	return hex.EncodeToString(b)
}

// amdChain gets the certificate for a TCB and those above it, in PEM.
func (c *azureCollection) amdChain(ctx context.Context) (tcb string, chain []byte, err error) {
	answer, err := c.metadata(ctx, http.MethodGet, amdCertificates, nil)
	if err != nil {
		return "", nil, err
	}
	var document struct {
		Leaf  string `json:"vcekcert"`
		TCB   string `json:"tcbm"`
		Chain string `json:"certificatechain"`
	}
	if err := strictjson.Folded(answer, &document); err != nil {
		return "", nil, notMetadata(amdCertificates, err)
	}
	chain = []byte(strings.TrimRight(document.Leaf, "\r\n") + "\n" + document.Chain)
	if _, err := snp.ParseChain(chain); err != nil {
		return "", nil, notMetadata(amdCertificates, err)
	}
	return document.TCB, chain, nil
}

// metadata asks the metadata service, again where it asks for that.
func (c *azureCollection) metadata(ctx context.Context, method, path string, body []byte) (answer []byte, err error) {
	wait := metadataPause
	for try := 1; ; try++ {
		var again time.Duration
		answer, again, err = c.options.Metadata.ask(ctx, method, path, body)
		if err == nil || again < 0 || try == metadataTries {
			return answer, err
		}
		if err := c.options.Pause(ctx, max(again, wait)); err != nil {
			return nil, err
		}
		wait *= 2
	}
}

// ask asks once; again says after how long it is worth asking again, if not negative.
func (m AzureMetadata) ask(ctx context.Context, method, path string, body []byte) (answer []byte, again time.Duration, err error) {
	bounded, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	at := strings.TrimSuffix(or(m.URL, azureMetadataURL), "/") + path
	request, err := http.NewRequestWithContext(bounded, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, -1, problem("the metadata service cannot be asked", "name it as a URL (--metadata), or leave that out", err)
	}
	request.Header.Set("Metadata", "true")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := m.client().Do(request)
	if ctx.Err() != nil {
		return nil, -1, ctx.Err()
	}
	if err != nil {
		return nil, -1, noMetadata(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, retryAfter(response), refusedMetadata(path, response.Status)
	}
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxMetadata+1))
	if ctx.Err() != nil {
		return nil, -1, ctx.Err()
	}
	if err == nil && len(answer) > maxMetadata {
		err = fmt.Errorf("it is longer than %d bytes", maxMetadata)
	}
	if err != nil {
		return nil, -1, notMetadata(path, err)
	}
	return answer, 0, nil
}

func (m AzureMetadata) client() *http.Client {
	client := withoutProxy()
	if m.Client != nil {
		*client = *m.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// retryAfter says how long to wait before asking again; negative: that would not help.
func retryAfter(r *http.Response) time.Duration {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusGone && r.StatusCode < http.StatusInternalServerError {
		return -1
	}
	seconds, err := strconv.ParseUint(r.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

func noMetadata(err error) error {
	return problem("the metadata service of Azure does not answer", "look whether this is a machine of Azure, and whether a firewall, a network policy or a missing route "+
		"keeps 169.254.169.254 away; a container needs the host's network", err)
}

func refusedMetadata(path, status string) error {
	return problem(fmt.Sprintf("the metadata service answered %s to %s", shortened(status), path),
		"try again in a minute; where it knows no such path (404), this is no confidential machine of the kind that its report says, or --metadata names something else", nil)
}

func notMetadata(path string, err error) error {
	return problem("what the metadata service answered to "+path+" cannot be used", "look whether something else answers at 169.254.169.254; then try again in a minute", err)
}

// shortened is a text of others for a message.
func shortened(s string) string { return fmt.Sprintf("%.64q", s) }
