package dcap

import (
	"slices"

	"github.com/assay-attestation/assay/evidence"
)

// standTD rates a TD (sgx-tdx.md section 8). One of version 1.5 is rated twice, as it was launched and as it runs now: where
// the first is out of date and the second is not, a relaunch would do.
func (c *Collateral) standTD(tcb TCB, qeSVN uint16, r *TDReport, t BodyType) (Standing, *evidence.Refusal) {
	launch, refusal := c.stand(tcb, qeSVN, (*teeTCB)(&r.TEETCBSVN))
	if refusal != nil || t < TDReport15 {
		return launch, refusal
	}
	current, refusal := c.stand(tcb, qeSVN, (*teeTCB)(&r.TEETCBSVN2))
	if refusal != nil {
		return Standing{}, refusal
	}
	launch.Status = relaunched(launch.Status, current.Status)
	return launch, nil
}

// relaunched brings the status at launch and the present one together.
func relaunched(launch, current Status) Status {
	outdated := launch == OutOfDate || launch == OutOfDateConfigurationNeeded
	if !outdated || !slices.Contains([]Status{UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded}, current) {
		return launch
	}
	if launch == OutOfDateConfigurationNeeded || current == ConfigurationNeeded || current == ConfigurationAndSWHardeningNeeded {
		return TDRelaunchAdvisedConfigurationNeeded
	}
	return TDRelaunchAdvised
}
