package server

import (
	"slices"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/api"
)

// psw are the versions of Intel's platform software that go with TCB evaluation data numbers, with the dates of their release
// (management.md section 10).
func psw() map[uint32]api.Baseline {
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	list := []api.Baseline{
		{Number: 10, Released: day(2020, 11, 11), PSWLinux: "2.9", PSWWindows: "2.7.101.2"},
		{Number: 11, Released: day(2021, 6, 9), PSWLinux: "2.13.3", PSWWindows: "2.13.100.2"},
		{Number: 12, Released: day(2021, 11, 10), PSWLinux: "2.13.3", PSWWindows: "2.13.100.2"},
		{Number: 13, Released: day(2022, 8, 9), PSWLinux: "2.17", PSWWindows: "2.16"},
		{Number: 14, Released: day(2022, 11, 8), PSWLinux: "2.17", PSWWindows: "2.16"},
		{Number: 15, Released: day(2023, 2, 14), PSWLinux: "2.17", PSWWindows: "2.16"},
	}
	byNumber := map[uint32]api.Baseline{}
	for _, b := range list {
		byNumber[b.Number] = b
	}
	return byNumber
}

// baselines lists the baselines that policies can select, newest first: those that are stored, and with a live source the
// documented ones.
func (s *Server) baselines() []api.Baseline {
	known := psw()
	var list []api.Baseline
	usual, err := s.endorsing.usual()
	if err != nil {
		return nil
	}
	seen := map[uint32]bool{}
	for _, stored := range usual.genuine.Stored() {
		if stored.TEE() != dcap.SGX {
			continue // the route has those for SGX only (api.md section 11)
		}
		number := stored.EvaluationNumber()
		b := known[number]
		b.Number, b.IsOfDefault = number, len(list) == 0
		if b.Released.IsZero() {
			b.Released = stored.IssueDate()
		}
		if !seen[b.Number] {
			seen[b.Number] = true
			list = append(list, b)
		}
	}
	if usual.genuine.IsLive() {
		for number, b := range known {
			if !seen[number] {
				list = append(list, b)
			}
		}
	}
	slices.SortFunc(list, func(a, b api.Baseline) int { return int(b.Number) - int(a.Number) })
	return list
}
