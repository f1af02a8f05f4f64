package dcap

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// Status is Intel's word for the state of a TCB.
type Status string

// The TCB statuses (sgx-tdx.md section 5.2).
const (
	UpToDate                          Status = "UpToDate"
	SWHardeningNeeded                 Status = "SWHardeningNeeded"
	ConfigurationNeeded               Status = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded Status = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         Status = "OutOfDate"
	OutOfDateConfigurationNeeded      Status = "OutOfDateConfigurationNeeded"
	RevokedTCB                        Status = "Revoked"
)

// The statuses of a TD that was launched on what is out of date now and runs on what is not (sgx-tdx.md section 8).
const (
	TDRelaunchAdvised                    Status = "TDRelaunchAdvised"
	TDRelaunchAdvisedConfigurationNeeded Status = "TDRelaunchAdvisedConfigurationNeeded"
)

// platformStatuses are the words that a TCB level may have.
func platformStatuses() []Status {
	return []Status{UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded,
		OutOfDate, OutOfDateConfigurationNeeded, RevokedTCB}
}

// identityStatuses are the words that a level of an enclave identity may have.
func identityStatuses() []Status {
	return []Status{UpToDate, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded, RevokedTCB}
}

// Standing is how a platform stands against Intel's collateral: facts for whoever decides.
type Standing struct {
	Status           Status    // of platform, quoting enclave and TDX module together
	Platform         Status    // of the platform alone
	QE               Status    // of the quoting enclave alone
	TDXModule        Status    // of the TDX module alone; empty where no identity rates it
	Date             time.Time // earliest TCB date of the levels that were met
	AdvisoryIDs      []string  // Intel's advisories for those levels, sorted
	AdvisoriesKnown  bool      // false: TCB info of version 2 names no advisories, whatever applies
	EvaluationNumber uint32    // the smaller one of TCB info and QE identity
	Shortfalls       []Shortfall
}

// Shortfall is one part of a TCB that is below the best level of the collateral.
type Shortfall struct {
	Component string // "sgxtcbcomp07svn", "pcesvn", "QE isvsvn"; for TDX also "tdxtcbcomp03svn", "TDX_01 isvsvn"
	Need      int    // the value of the best level
	Have      int
}

// String tells the shortfall to a person.
func (s Shortfall) String() string {
	return fmt.Sprintf("%s is %d and must be %d", s.Component, s.Have, s.Need)
}

// Remedy says what would let a platform of this standing pass: which parts of it are short, where Intel says more, and in
// which setting its status could be accepted. A TD whose platform was updated since its launch is to be launched again.
func (s *Standing) Remedy(setting string) string {
	var parts []string
	if len(s.Shortfalls) > 0 {
		verb := "update the platform"
		if s.Status == TDRelaunchAdvised || s.Status == TDRelaunchAdvisedConfigurationNeeded {
			verb = "launch the TD again, since it was launched on an older platform"
		}
		parts = append(parts, verb+" ("+describe(s.Shortfalls)+")")
	}
	if len(s.AdvisoryIDs) > 0 {
		parts = append(parts, "see "+strings.Join(s.AdvisoryIDs, ", "))
	}
	waive := "list " + string(s.Status) + " in " + setting
	if len(parts) == 0 {
		return waive
	}
	return strings.Join(parts, ", ") + ", or " + waive
}

// rate finds the first level, from the highest, that tcb reaches, and for TDX td as well.
func (t *TCBInfo) rate(tcb TCB, td *teeTCB) (rating, *evidence.Refusal) {
	for _, l := range t.levels {
		if tcb.reaches(l.tcb) && (td == nil || td.reaches(l.tdx)) {
			return l.rating, nil
		}
	}
	lowest := t.levels[len(t.levels)-1]
	want, found := "at least the lowest level, "+lowest.tcb.String(), tcb.String()
	if td != nil {
		want, found = want+" tdx "+lowest.tdx.String(), found+" tdx "+td.String()
	}
	return rating{}, evidence.Refuse(evidence.TCBNotSupported, "the platform is below every TCB level of FMSPC %s", t.fmspc).Want(want, found).
		Do("update BIOS, microcode and platform software, then provision the platform again (" + describe(lowest.shortfalls(tcb, td)) + ")")
}

// reaches reports whether every component and the PCESVN are at least those of level.
func (t TCB) reaches(level TCB) bool {
	for i := range t.Components {
		if t.Components[i] < level.Components[i] {
			return false
		}
	}
	return t.PCESVN >= level.PCESVN
}

// String gives the component SVNs and the PCESVN.
func (t TCB) String() string { return fmt.Sprintf("%d pcesvn %d", t.Components, t.PCESVN) }

// rate finds the first level, from the highest, that a quoting enclave of version svn reaches.
func (q *QEIdentity) rate(svn uint16) (rating, *evidence.Refusal) {
	if l, ok := reached(q.levels, svn); ok {
		return l, nil
	}
	return rating{}, evidence.Refuse(evidence.TCBNotSupported, "the quoting enclave is below every level of its identity").
		Want(fmt.Sprintf("isvsvn at least %d", q.levels[len(q.levels)-1].svn), svn).Do("update the quoting enclave (Intel SGX PSW or DCAP)")
}

// stand rates platform, quoting enclave and, of a TD, the TDX module, and brings them together (sgx-tdx.md section 8).
func (c *Collateral) stand(tcb TCB, qeSVN uint16, td *teeTCB) (Standing, *evidence.Refusal) {
	platform, r := c.TCBInfo.rate(tcb, td)
	if r != nil {
		return Standing{}, r
	}
	qe, r := c.QEIdentity.rate(qeSVN)
	if r != nil {
		return Standing{}, r
	}
	s := Standing{
		Status: platform.status, Platform: platform.status, QE: qe.status, Date: platform.date, AdvisoryIDs: slices.Clone(platform.advisories),
		AdvisoriesKnown:  c.TCBInfo.version > 2,
		EvaluationNumber: min(c.TCBInfo.evaluation, c.QEIdentity.evaluation),
		Shortfalls:       c.shortfalls(tcb, qeSVN, td),
	}
	s.add(qe)
	if td != nil && td.hasModule() {
		module, r := c.rateModule(*td)
		if r != nil {
			return Standing{}, r
		}
		s.TDXModule = module.status
		s.add(module)
	}
	slices.Sort(s.AdvisoryIDs)
	s.AdvisoryIDs = slices.Compact(s.AdvisoryIDs)
	return s, nil
}

// add brings the rating of a component in.
func (s *Standing) add(component rating) {
	s.Status = converge(s.Status, component.status)
	s.AdvisoryIDs = append(s.AdvisoryIDs, component.advisories...)
	if component.date.Before(s.Date) {
		s.Date = component.date
	}
}

// rateModule rates the TDX module by its identity.
func (c *Collateral) rateModule(td teeTCB) (rating, *evidence.Refusal) {
	m, r := c.TCBInfo.moduleOf(td)
	if r != nil {
		// At launch there is one, or the quote would have been refused before: this is the module that runs now.
		r.Check = evidence.TCBNotSupported
		return rating{}, r
	}
	return m.rate(td)
}

// converge brings the status of the platform and that of one component together, after the table of sgx-tdx.md
// section 8. Configuration words of a component count only through their OutOfDate part.
func converge(platform, component Status) Status {
	if platform == RevokedTCB || component == RevokedTCB {
		return RevokedTCB
	}
	if component != OutOfDate && component != OutOfDateConfigurationNeeded {
		return platform
	}
	switch platform {
	case UpToDate, SWHardeningNeeded:
		return OutOfDate
	case ConfigurationNeeded, ConfigurationAndSWHardeningNeeded:
		return OutOfDateConfigurationNeeded
	}
	return platform
}

// shortfalls compares with the best level: each part of the platform, of the quoting enclave and of the TDX module that is below it.
func (c *Collateral) shortfalls(tcb TCB, qeSVN uint16, td *teeTCB) []Shortfall {
	list := c.TCBInfo.levels[0].shortfalls(tcb, td)
	if need := c.QEIdentity.levels[0].svn; qeSVN < need {
		list = append(list, Shortfall{"QE isvsvn", int(need), int(qeSVN)})
	}
	if td == nil || !td.hasModule() {
		return list
	}
	if m := c.TCBInfo.identity(td.moduleID()); m != nil && uint16(td[0]) < m.levels[0].svn {
		list = append(list, Shortfall{m.id + " isvsvn", int(m.levels[0].svn), int(td[0])})
	}
	return list
}

// shortfalls lists the parts of a platform, and for TDX of td, that are below the level.
func (l *tcbLevel) shortfalls(tcb TCB, td *teeTCB) []Shortfall {
	list := tcb.below(l.tcb)
	if td != nil {
		list = append(list, td.below(l.tdx)...)
	}
	return list
}

// below lists the parts of a platform that are below a level.
func (t TCB) below(level TCB) []Shortfall {
	var list []Shortfall
	for i, need := range level.Components {
		if t.Components[i] < need {
			list = append(list, Shortfall{componentName(i), int(need), int(t.Components[i])})
		}
	}
	if t.PCESVN < level.PCESVN {
		list = append(list, Shortfall{"pcesvn", int(level.PCESVN), int(t.PCESVN)})
	}
	return list
}

// describe lists shortfalls for a person.
func describe(list []Shortfall) string {
	texts := make([]string, len(list))
	for i, part := range list {
		texts[i] = part.String()
	}
	return strings.Join(texts, ", ")
}
