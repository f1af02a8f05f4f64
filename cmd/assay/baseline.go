package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// baselineVersion is the first version of the API that lists baselines (api.md section 11).
const baselineVersion = "2022-09-01-preview"

// baseline is a TCB baseline as services list it (api.md section 11).
type baseline struct {
	Identifier string `json:"tcbIdentifier"`
	Number     int64  `json:"tcbEvaluationDataNumber"`
	Released   string `json:"tcbReleaseDate"` // as the service writes it, mostly without a zone
	PSWLinux   string `json:"minimumPswLinuxVersion"`
	PSWWindows string `json:"minimumPswWindowsVersion"`
	Selected   bool   `json:"isSelectedTcb"` // by the policy in force
}

// baselineList is the result of baseline list.
type baselineList struct {
	Type      string     `json:"type"` // not of the service
	Baselines []baseline `json:"tcbBaselines"`
}

func (l *baselineList) print(s sheet, _ error) {
	s.heading(green, "BASELINES", l.Type)
	lines := [][]string{{" ", "ID", "NUMBER", "RELEASED", "PSW LINUX", "PSW WINDOWS"}}
	for _, b := range l.Baselines {
		selected := " "
		if b.Selected {
			selected = "*"
		}
		day, _, _ := strings.Cut(b.Released, "T")
		lines = append(lines, []string{selected, b.Identifier, strconv.FormatInt(b.Number, 10), day, b.PSWLinux, b.PSWWindows})
	}
	s.table(lines)
	s.rows(row{"*", "selected by the policy in force"})
}

// runBaselineList lists the TCB baselines that policies of the service can select.
func runBaselineList(ctx context.Context, c *call) error {
	var p remotePolicy
	if _, err := p.parse(c); err != nil {
		return err
	}
	a, err := p.send(ctx, message{method: http.MethodGet, path: "/tcbbaselines/" + p.kind}.with(baselineVersion))
	if err != nil {
		return c.tellService(err)
	}
	list := &baselineList{Type: p.kind}
	if err := a.read(list); err != nil {
		return err
	}
	return c.tell(list, nil)
}
