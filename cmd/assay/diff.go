package main

import (
	"fmt"
	"slices"
	"strings"
)

// diffContext is how many equal lines stand around a difference.
const diffContext = 3

// maxDiffCells bounds the work of a comparison: lines of one text times lines of the other, where they differ. Beyond it,
// everything between the first and the last difference is shown as replaced.
const maxDiffCells = 4 << 20

// side is one of two texts.
type side struct{ name, text string }

// edit is a line of a comparison: kept (' '), taken out ('-') or put in ('+').
type edit struct {
	kind byte
	line string
}

// unifiedDiff shows in what two texts differ, line by line, in the form of diff -u; nothing if they are equal.
func unifiedDiff(a, b side) string {
	if a.text == b.text {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", a.name, b.name)
	edits := compare(slices.Collect(strings.Lines(a.text)), slices.Collect(strings.Lines(b.text)))
	for begin := 0; begin < len(edits); {
		first := begin
		for first < len(edits) && edits[first].kind == ' ' {
			first++
		}
		if first == len(edits) {
			break
		}
		end := hunkEnd(edits, first)
		writeHunk(&out, edits, max(begin, first-diffContext), end)
		begin = end
	}
	return out.String()
}

// hunkEnd finds where the hunk ends that has the difference at first: where more equal lines follow than two contexts hold.
func hunkEnd(edits []edit, first int) int {
	last := first
	for i := first; i < len(edits) && i <= last+2*diffContext+1; i++ {
		if edits[i].kind != ' ' {
			last = i
		}
	}
	return min(len(edits), last+1+diffContext)
}

func writeHunk(out *strings.Builder, edits []edit, begin, end int) {
	oldBefore, newBefore := count(edits[:begin])
	oldLines, newLines := count(edits[begin:end])
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(oldBefore, oldLines), span(newBefore, newLines))
	for _, e := range edits[begin:end] {
		out.WriteByte(e.kind)
		out.WriteString(e.line)
		if !strings.HasSuffix(e.line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// count is how many lines of the old and of the new text the edits are about.
func count(edits []edit) (old, now int) {
	for _, e := range edits {
		if e.kind != '+' {
			old++
		}
		if e.kind != '-' {
			now++
		}
	}
	return old, now
}

// span writes where lines stand: the number of the first, or of the one before if there are none, and how many.
func span(before, lines int) string {
	switch lines {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, lines)
}

// compare finds a shortest way from one text to the other.
func compare(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	edits := mark(' ', a[:head])
	edits = append(edits, differences(a[head:len(a)-tail], b[head:len(b)-tail])...)
	return append(edits, mark(' ', a[len(a)-tail:])...)
}

func mark(kind byte, lines []string) (edits []edit) {
	for _, line := range lines {
		edits = append(edits, edit{kind, line})
	}
	return edits
}

// differences compares what is left between equal beginnings and ends, by their longest common subsequence.
func differences(a, b []string) []edit {
	if (len(a)+1)*(len(b)+1) > maxDiffCells {
		return append(mark('-', a), mark('+', b)...)
	}
	common := commonLengths(a, b)
	var edits []edit
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			edits = append(edits, edit{' ', a[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			edits = append(edits, edit{'-', a[i]})
			i++
		default:
			edits = append(edits, edit{'+', b[j]})
			j++
		}
	}
	return append(append(edits, mark('-', a[i:])...), mark('+', b[j:])...)
}

// commonLengths gives for each pair of places how many lines of the rests the two have in common, in order.
func commonLengths(a, b []string) [][]int32 {
	table := make([][]int32, len(a)+1)
	for i := range table {
		table[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			table[i][j] = max(table[i+1][j], table[i][j+1])
			if a[i] == b[j] {
				table[i][j] = table[i+1][j+1] + 1
			}
		}
	}
	return table
}
