//go:build package

package kandinsky_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBareModule builds and runs the README's program in a module of its own, that has nothing but what the README says.
func TestBareModule(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	readmeProgram(t, folder)
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module example.org/bare\n\ngo 1.25.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(readFile(t, "README.md"), "```bash\n")
	commands, _, _ := strings.Cut(after, "```")
	if strings.Count(commands, "/path/to/kandinsky-grpc/clients/go") != 1 {
		t.Fatalf("the README's commands have no folder to replace:\n%s", commands)
	}
	shell := exec.Command("bash", "-euc", strings.ReplaceAll(commands, "/path/to/kandinsky-grpc/clients/go", here))
	shell.Dir = folder
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fmt.Print(readFile(t, filepath.Join(folder, "go.mod")))
	runsTo(t, folder, folder, "build", "-o", "program", ".")
}
