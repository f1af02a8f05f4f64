package provider

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/verifier"
)

// PollTime is how often a replica asks the store for changes of others.
const PollTime = 200 * time.Millisecond

// refreshTime is how long the store may take for the changes of others, until it is asked anew.
const refreshTime = 10 * time.Second

// Local is what the configuration says of the default provider. It wins over what the store has.
type Local struct {
	Settings Settings
	Policies map[string]string // JWS by attestation type, in force until another is set
}

// Ground is what all providers of a service stand on. Every field must be given but Development.
type Ground struct {
	Store *store.Store
	Keys  *keyring.Ring
	// Verify makes the verifier of a provider from its settings and policies.
	Verify func(*Instance) (*verifier.Verifier, error)
	// CheckBaseline reports a TCB baseline that does not exist.
	CheckBaseline func(name string) error
	// CheckSettings reports settings that the trust of the service does not bear out, when they are set.
	CheckSettings func(Settings) error
	Seats         *verifier.Seats
	ByHost        bool // providers share the listener of the service, and are told apart by the Host header
	Default       Local
	Development   bool
	Logger        *slog.Logger
}

// Registry has the providers in service.
type Registry struct {
	Ground
	mu      sync.Mutex // one refresh at a time
	changes int64      // of the store, up to which the view is true
	again   bool       // some provider could not be put into service: try again though nothing has changed
	tried   time.Time
	view    atomic.Pointer[view]
	watch   func([]*Instance)
}

// view is what is in service at a time.
type view struct {
	versions map[string]int64
	failed   map[string]string // why providers could not be put into service, by id
	byID     map[string]*Instance
	byHost   map[string]*Instance // by host:port, and by host where that is only one's
	byName   map[string]*Instance
}

// NewRegistry makes a registry with nothing in service; see Refresh. watch, if not nil, is told of every new view.
func NewRegistry(g Ground, watch func([]*Instance)) *Registry {
	r := &Registry{Ground: g, changes: -1, watch: watch}
	r.view.Store(&view{})
	return r
}

// ByID finds the provider in service with an id.
func (r *Registry) ByID(id string) (*Instance, bool) {
	i, ok := r.view.Load().byID[id]
	return i, ok
}

// ByName finds the provider in service with a name, in any case.
func (r *Registry) ByName(name string) (*Instance, bool) {
	i, ok := r.view.Load().byName[strings.ToLower(name)]
	return i, ok
}

// All lists what is in service by name.
func (r *Registry) All() []*Instance {
	byName := r.view.Load().byName
	var all []*Instance
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all
}

// At finds the provider that a request with this Host header is for, on the listener of the service. Where providers share it,
// the default one also answers to IP addresses and to localhost, by which it is probed; any other name must be that of a
// provider's URL. Otherwise it is the default provider's own.
func (r *Registry) At(host string) (*Instance, bool) {
	v := r.view.Load()
	if !r.ByHost {
		i, ok := v.byName[Default]
		return i, ok
	}
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	if i, ok := v.byHost[host]; ok {
		return i, true
	}
	name := hostname(host)
	if name == "localhost" || net.ParseIP(name) != nil {
		i, ok := v.byName[Default]
		return i, ok
	}
	return nil, false
}

// hostname takes the port off a host.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// retryTime is how often it is tried again to put into service what could not be.
const retryTime = 5 * time.Second

// Refresh puts into service what the store has. It is quick when nothing has changed.
func (r *Registry) Refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	changes, err := r.Store.Changes(ctx)
	if err != nil || changes == r.changes && !(r.again && time.Since(r.tried) > retryTime) {
		return err
	}
	r.tried = time.Now()
	old := r.view.Load()
	if changes < r.changes { // the store was put back to what it was once: versions may mean something else now
		old = &view{}
	}
	next := &view{byID: map[string]*Instance{}, failed: map[string]string{}}
	if err := r.Store.Read(ctx, func(tx *store.Tx) error { return r.read(tx, old, next) }); err != nil {
		return err
	}
	next.index()
	r.changes, r.again = changes, len(next.failed) > 0
	r.view.Store(next)
	if r.watch != nil {
		r.watch(slices.Collect(maps.Values(next.byID)))
	}
	return nil
}

// read fills the view from the store; what has not changed stays as it is.
func (r *Registry) read(tx *store.Tx, old, next *view) (err error) {
	if next.versions, err = tx.Versions(); err != nil {
		return err
	}
	for id, version := range next.versions {
		if version == old.versions[id] && old.byID[id] != nil {
			next.byID[id] = old.byID[id]
			continue
		}
		i, err := r.instance(tx, id, old.byID[id])
		switch {
		case errors.Is(err, errNoKeys):
		case err != nil:
			next.failed[id] = err.Error()
			if old.failed[id] != err.Error() {
				r.Logger.Error("what the store has of a provider cannot be put into service", "id", id, "error", err)
			}
			if before := old.byID[id]; before != nil {
				next.byID[id] = before.outdated(i, err)
			}
			delete(next.versions, id)
		default:
			next.byID[id] = i
		}
	}
	return nil
}

// instance makes a provider from what the store has of it. What was made for the instance before is used again. With an error,
// what it returns has its keys at most.
func (r *Registry) instance(tx *store.Tx, id string, before *Instance) (*Instance, error) {
	record, err := tx.Provider(id)
	if err != nil {
		return nil, err
	}
	i := &Instance{Provider: record}
	keys, err := r.Keys.Load(tx, id)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	if i.Keys, err = r.issuer(record, keys); err != nil {
		return nil, err
	}
	local := Local{}
	if record.Name == Default {
		local, i.Settings = r.Default, r.Default.Settings
	} else if i.Settings, err = ParseSettings(record.Settings); err != nil {
		return i, err
	}
	if err := r.policies(tx, i, before, local.Policies); err != nil {
		return i, err
	}
	if err := r.references(tx, i, before); err != nil {
		return i, err
	}
	if err := i.readEnrolment(tx); err != nil {
		return i, err
	}
	if i.Share = r.Seats.NewShare(); before != nil {
		i.Share = before.Share // in which work may be under way
	}
	i.Verifier, err = r.Verify(i)
	return i, err
}

// issuer makes what signs for a provider.
func (r *Registry) issuer(p store.Provider, keys []issuer.Key) (*issuer.Keys, error) {
	reports, err := r.Keys.Authority(p.ID)
	if err != nil {
		return nil, err
	}
	return issuer.New(issuer.Config{Issuer: p.URL, Development: r.Development, Reports: reports}, keys)
}

// policies fills in the policies of a provider.
func (r *Registry) policies(tx *store.Tx, i, before *Instance, given map[string]string) error {
	defaults, err := Defaults(given)
	if err != nil {
		return err
	}
	stored, err := tx.Policies(i.ID)
	if err != nil {
		return err
	}
	versions := map[string]store.Policy{}
	for _, p := range stored {
		versions[p.Type] = p
	}
	i.policies = map[string]*InForce{}
	for _, t := range Types() {
		p := versions[t]
		p.Type = t
		if before != nil && before.policies[t].is(p) {
			i.policies[t] = before.policies[t]
			continue
		}
		if i.policies[t], err = open(p, defaults); err != nil { // of a newer program, say: its owner can set another
			i.policies[t] = &InForce{Version: p.Version, JWS: p.JWS, Broken: err}
			if before != nil && before.policies[t] != nil && before.policies[t].Broken != nil && before.policies[t].Version == p.Version {
				continue // the log has it
			}
			r.Logger.Error("a policy cannot be used; nothing is attested under it", "provider", i.Name, "type", t, "version", p.Version, "error", err)
		}
	}
	return nil
}

// index fills the maps by which providers are found.
func (v *view) index() {
	v.byHost, v.byName = map[string]*Instance{}, map[string]*Instance{}
	names := map[string]int{}
	for _, i := range v.byID {
		v.byName[i.Name] = i
		if u, err := url.Parse(i.URL); err == nil {
			host := strings.TrimSuffix(u.Host, ":443")
			v.byHost[host] = i
			names[u.Hostname()]++
		}
	}
	for _, i := range v.byID { // some clients drop the port (api.md section 1)
		if u, err := url.Parse(i.URL); err == nil && names[u.Hostname()] == 1 {
			v.byHost[u.Hostname()] = i
		}
	}
}

// Follow refreshes the registry every PollTime until the context ends, and says in the log when it cannot.
func (r *Registry) Follow(ctx context.Context) {
	tick := time.NewTicker(PollTime)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.refreshInTime(ctx)
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			failing = failed
			r.Logger.Warn("the store and what is in service", "inStep", !failed, "error", err)
		}
	}
}

// refreshInTime gives up a store that does not answer: others wait for the refresh to end.
func (r *Registry) refreshInTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	return r.Refresh(ctx)
}
