package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiffIsInTheFormOfDiffU(t *testing.T) {
	long := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n"
	for _, tt := range []struct{ a, b, want string }{
		{"x\n", "x\n", ""},
		{"", "x\n", "@@ -0,0 +1 @@\n+x\n"},
		{"x\ny\n", "", "@@ -1,2 +0,0 @@\n-x\n-y\n"},
		{"x", "x\n", "@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n"},
		{"a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{long, strings.Replace(long, "10\n", "ten\n", 1), "@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n"},
		{long, strings.Replace(strings.Replace(long, "5\n", "five\n", 1), "12\n", "", 1), // six lines between: one hunk
			"@@ -2,14 +2,13 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n 10\n 11\n-12\n 13\n 14\n 15\n"},
		{long, strings.Replace(strings.Replace(long, "5\n", "five\n", 1), "13\n", "", 1), // seven: two hunks
			"@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -10,7 +10,6 @@\n 10\n 11\n 12\n-13\n 14\n 15\n 16\n"},
	} {
		if tt.want != "" {
			tt.want = "--- old\n+++ new\n" + tt.want
		}
		if got := unifiedDiff(side{"old", tt.a}, side{"new", tt.b}); got != tt.want {
			t.Errorf("%q and %q: got\n%s\nwant\n%s", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestPatchMakesTheNewTextOfTheOldOne gives what the comparison says to another program, which knows the form.
func TestPatchMakesTheNewTextOfTheOldOne(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		if os.Getenv("ASSAY_CI") == "1" {
			t.Fatal("there is no patch on this machine")
		}
		t.Log("there is no patch on this machine: nothing is tried")
		return
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var a, b strings.Builder
		for range random.IntN(60) {
			line := fmt.Sprintln(random.IntN(5))
			switch random.IntN(8) {
			case 0:
				a.WriteString(line)
			case 1:
				b.WriteString(line)
			default:
				a.WriteString(line)
				b.WriteString(line)
			}
		}
		diff := unifiedDiff(side{"old", a.String()}, side{"new", b.String()})
		if diff == "" || b.Len() == 0 || a.Len() == 0 { // patch makes and removes files then
			continue
		}
		file := tempFile(t, "file", a.String())
		cmd := exec.Command("patch", "--fuzz=0", "-o", filepath.Join(filepath.Dir(file), "out"), file)
		cmd.Stdin = strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, diff)
		}
		if got := readFile(t, filepath.Join(filepath.Dir(file), "out")); got != b.String() {
			t.Fatalf("got %q, want %q by\n%s", got, b.String(), diff)
		}
	}
}

func TestDiffOfLongTextsIsBounded(t *testing.T) {
	lines := func(n int, text string) string { return strings.Repeat(text+"\n", n) }
	fits := unifiedDiff(side{"a", lines(2047, "a") + "common\nx\n"}, side{"b", lines(100, "b") + "common\ny\n"})
	if !strings.Contains(fits, "\n common\n") {
		t.Error("a common line of texts within the bound is not found")
	}
	beyond := unifiedDiff(side{"a", lines(2047, "a") + "common\nx\n"}, side{"b", lines(2047, "b") + "common\ny\n"})
	if !strings.Contains(beyond, "\n-common\n") || !strings.Contains(beyond, "\n+common\n") {
		t.Error("beyond the bound, all is to be shown as replaced")
	}
}
