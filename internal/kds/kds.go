// Package kds gets the certificates of chips from AMD's key distribution service (sev-snp.md section 2), for reports of SEV-SNP that come
// without theirs (switch snp_kds).
//
// Nothing that the service says is believed: an answer becomes a [snp.Chain], which counts only if the trusted roots bear it out and if it
// is of the chip and the TCB that were asked for. What counts is kept, in memory and on disk, and is looked for there first; so an
// outage of the service does not touch chips that are known.
//
// A report is not authentic before its certificate is there, so anybody can make up chips to ask for. Questions therefore go out one after
// the other and at a fixed rate, from a queue of bounded length; equal ones are one; what the service does not know is remembered for
// a while; and evidence chooses nothing but the product and two numbers in the path of a URL whose host is configured.
package kds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/assay-attestation/assay/evidence/snp"
)

// AMD is the base URL of AMD's own service.
const AMD = "https://kdsintf.amd.com"

// How AMD's service is treated, which allows about one request in ten seconds.
const (
	// Interval is the time between two requests in the long run.
	Interval = 10 * time.Second
	// Burst is how many requests may go out at once after a time without any.
	Burst = 4
	// MaxQueue is how many chips may wait to be asked for.
	MaxQueue = 64
	// MaxKnown is how many chains are kept in memory and on disk, of about 1.5 KB each. The ones used longest ago go first.
	MaxKnown = 4096
	// maxDenied is how many answers that were of no use are remembered.
	maxDenied = 1024
)

// Config is what a client is made of.
type Config struct {
	// URL is the base of the service, [AMD] or a cache that speaks its protocol. Empty: nobody is asked.
	URL string
	// Roots say which chains count. They have ASKs at hand, or the service is asked for them too.
	Roots snp.Roots
	// Stored are files of certificates, and folders of such files, that are at hand whatever the service says; see [Client.Chain].
	Stored []string
	// Dir is the folder of the cache, which is made if need be. Empty: the cache is in memory only.
	Dir string
	// Clock gives the time at which certificates must be in force.
	Clock  func() time.Time
	Logger *slog.Logger
	// Observe is told of each question to the service: fetched, absent, unavailable or unusable. Nil: nobody is.
	Observe func(outcome string)
	// Client replaces the default HTTP client. It follows no redirects either.
	Client *http.Client
}

// Client asks AMD's key service. It is safe for concurrent use. Close it.
type Client struct {
	cfg      Config
	base     *url.URL // nil: nobody is asked
	http     *http.Client
	products []snp.Product
	stored   map[key]*snp.Chain
	rate     *rate.Limiter

	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu          sync.Mutex
	known       *simplelru.LRU[string, *snp.Chain] // by the name of the file; nil: it is on disk only
	denied      *simplelru.LRU[key, denial]
	authorities map[snp.Product]certificates // those that the service gave, verified
	jobs        map[key]*job                 // queued, and the one that runs
	queue       []*job
	working     bool
	failures    int       // of the service, one after the other
	resume      time.Time // when it may be asked again
}

// New makes a client. It reads the stored certificates and lists the cache, and makes no request. The error says what is wrong with the
// URL, a stored file or the folder.
func New(cfg Config) (*Client, error) {
	c := &Client{
		cfg: cfg, http: newHTTP(cfg.Client), products: cfg.Roots.Products(), rate: rate.NewLimiter(rate.Every(Interval), Burst),
		stored: map[key]*snp.Chain{}, authorities: map[snp.Product]certificates{}, jobs: map[key]*job{},
	}
	if cfg.URL != "" {
		base, err := url.Parse(cfg.URL)
		if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
			return nil, fmt.Errorf("amd_key_service %q: expected an http or https URL", cfg.URL)
		}
		c.base = base
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	var err, err2 error
	c.known, err = simplelru.NewLRU(MaxKnown, c.forget)
	c.denied, err2 = simplelru.NewLRU[key, denial](maxDenied, nil)
	if err := errors.Join(err, err2, c.readStored(), c.list()); err != nil {
		return nil, err
	}
	return c, nil
}

// Close ends the questions under way, and waits for that.
func (c *Client) Close() {
	c.mu.Lock()
	c.stop()
	c.mu.Unlock()
	c.work.Wait()
}

// Chain gives the chain of the VCEK that a report says it is signed with: a stored one, one of the cache, or one that the service is
// asked for, for which it waits until ctx is done. The chain traces to a trusted root, and is of the chip and the TCB of the report; that the
// report is signed under it is not known. Reports before version 3 do not name their product: then all trusted ones are tried whose chips
// have ids of that form, in their order. The error is an [evidence.Refusal] if there is nothing to ask for, or if no such chip and TCB
// are known; else an [Unavailable].
func (c *Client) Chain(ctx context.Context, r *snp.Report) (*snp.Chain, error) {
	keys, refusal := c.keysOf(r)
	if refusal != nil {
		return nil, refusal
	}
	for _, k := range keys {
		if chain := c.recall(k); chain != nil {
			return chain, nil
		}
	}
	if c.base == nil {
		return nil, notStored(keys)
	}
	for _, k := range keys {
		chain, err := c.fetch(ctx, k)
		if !errors.Is(err, errAbsent) {
			return chain, err
		}
	}
	return nil, absent(keys)
}
