package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/result"
)

// metrics are what the service counts. Labels are names of operations and statuses, of which there are few; never anything that a
// caller can choose.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec
	durations     *prometheus.HistogramVec
	auditFailures prometheus.Counter
	keyServices   *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		requests:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assay_requests_total", Help: "Requests answered."}, []string{"operation", "status"}),
		durations:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "assay_request_duration_seconds", Help: "Time from the request's header to its answer.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9)}, []string{"operation"}),
		auditFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "assay_audit_sink_failures_total", Help: "Attempts to copy the audit trail to a sink that failed."}),
		keyServices:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assay_amd_key_service_questions_total", Help: "Questions to AMD's key service, by outcome: fetched, absent, unavailable or unusable."}, []string{"outcome"}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.auditFailures, m.keyServices, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// keyService counts a question to AMD's key service.
func (m *metrics) keyService(outcome string) { m.keyServices.WithLabelValues(outcome).Inc() }

// The gauges that are worked out when they are read.
var (
	providersDesc = prometheus.NewDesc("assay_providers", "Providers in service.", nil, nil)
	readyDesc     = prometheus.NewDesc("assay_ready", "1 if the service can verify and sign.", nil, nil)
	referenceDesc = prometheus.NewDesc("assay_reference_expiry_seconds", "Seconds until the first reference value ends; below zero for a day after. Absent if none ends within two weeks.", nil, nil)
	keyDesc       = prometheus.NewDesc("assay_signing_key_expiry_seconds", "Seconds until the first certificate of a key in use expires.", nil, nil)
	successorDesc = prometheus.NewDesc("assay_signing_key_age_seconds", "Seconds for which the oldest key in use has signed.", nil, nil)
)

// Describe names the gauges, see [prometheus.Collector].
func (s *Server) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{providersDesc, readyDesc, keyDesc, successorDesc, referenceDesc} {
		out <- d
	}
}

// Collect works the gauges out, see [prometheus.Collector].
func (s *Server) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	ready := 1.0
	if s.Ready(ctx) != nil {
		ready = 0
	}
	now, all := s.clock(), s.providers.All()
	expiry, age := soonest(all, now)
	for _, g := range []struct {
		desc  *prometheus.Desc
		value float64
	}{{providersDesc, float64(len(all))}, {readyDesc, ready}, {keyDesc, expiry.Seconds()}, {successorDesc, age.Seconds()}} {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value)
	}
	if left, ok := soonestReference(all, now); ok {
		out <- prometheus.MustNewConstMetric(referenceDesc, prometheus.GaugeValue, left.Seconds())
	}
}

// soonest gives how long it is until the first certificate in use expires, and for how long the oldest key in use has signed.
func soonest(all []*provider.Instance, now time.Time) (expiry, age time.Duration) {
	expiry = time.Duration(1<<63 - 1)
	for _, i := range all {
		current := i.Keys.KeyID(now)
		for _, k := range i.Keys.Published() {
			if k.KeyID == current {
				expiry, age = min(expiry, k.NotAfter.Sub(now)), max(age, now.Sub(k.From))
			}
		}
	}
	return expiry, age
}

// readyTime is how long the check of readiness may take.
const readyTime = 5 * time.Second

// expiryWarning is how long before a certificate in use expires the service says that it is not well.
const expiryWarning = 7 * 24 * time.Hour

// Ready reports why the service cannot verify and sign, nil if it can: the store answers, there is collateral or a source of it,
// the default policy is read, and the key of the default provider signs what its key set verifies and does not expire soon. A
// service that is about to end is not ready.
func (s *Server) Ready(ctx context.Context) error {
	if s.Draining() {
		return errors.New("the service is about to end")
	}
	if err := s.store.Read(ctx, func(tx *store.Tx) error { _, err := tx.Versions(); return err }); err != nil {
		return fmt.Errorf("the store: %w", err)
	}
	usual, err := s.endorsing.usual()
	if err == nil {
		err = usual.genuine.Usable()
	}
	if err != nil {
		return err
	}
	i, ok := s.providers.ByName(provider.Default)
	if !ok || i.Outdated != nil {
		return errors.New("the default provider is not in service, or not up to date")
	}
	if _, err := i.Keys.SignResult(result.Claims{}, s.clock()); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	if i.Policy("SgxEnclave").Policy == nil {
		return errors.New("the default provider has no policy for SgxEnclave")
	}
	if expiry, _ := soonest([]*provider.Instance{i}, s.clock()); expiry < expiryWarning {
		return fmt.Errorf("the certificate of the signing key expires in %s", expiry)
	}
	return nil
}

// Ops answers operators: /livez while the process runs, /readyz if it can verify and sign, /metrics for Prometheus. It is not for
// strangers.
func (s *Server) Ops() (http.Handler, error) {
	if err := s.metrics.registry.Register(s); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux, nil
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
