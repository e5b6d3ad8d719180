package kandinsky_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// readmeProgram writes the README's program to a folder and returns its path.
func readmeProgram(t *testing.T, folder string) string {
	t.Helper()
	_, after, found := strings.Cut(readFile(t, "README.md"), "```go\npackage main\n")
	program, _, ends := strings.Cut(after, "```\n")
	if !found || !ends {
		t.Fatal("the README has no program")
	}
	path := filepath.Join(folder, "main.go")
	if err := os.WriteFile(path, []byte("package main\n"+program), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runsTo runs a command of Go's in a folder and looks at the files that the README's program leaves in `made`.
func runsTo(t *testing.T, folder, made string, command ...string) {
	t.Helper()
	built := exec.Command("go", command...)
	built.Dir = folder
	if out, err := built.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", command, err, out)
	}
	program := exec.Command(filepath.Join(made, "program"))
	program.Dir = made
	if out, err := program.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if picture := readFile(t, filepath.Join(made, "circle.png")); picture != "picture" {
		t.Errorf("got %q", picture)
	}
	if _, err := kandinsky.LoadEmbeddings(filepath.Join(made, "circle.safetensors")); err != nil {
		t.Error(err)
	}
}

func TestTheREADMEsProgramRuns(t *testing.T) {
	folder := t.TempDir()
	runsTo(t, ".", folder, "build", "-o", filepath.Join(folder, "program"), readmeProgram(t, folder))
}
