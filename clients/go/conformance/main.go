// Command conformance carries out cases of the conformance suite: one JSON object a line from standard input, one a line to standard
// output. conformance/README.md at the root of the repository has the protocol.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"time"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in) // not a Scanner: a line with a picture has no longest length
	reports := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			var c testCase
			if err := json.Unmarshal(line, &c); err != nil {
				return err
			}
			if err := reports.Encode(carryOut(c)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// carryOut makes a client for the case, calls, and reports.
func carryOut(c testCase) *report {
	r := &report{Case: c.Case}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	options, err := c.options()
	if err != nil {
		r.failed(err)
		return r
	}
	client, err := kandinsky.New(c.Target, options...)
	if err != nil {
		r.failed(err)
		return r
	}
	defer client.Close()
	if c.CancelAfterSeconds != nil {
		defer time.AfterFunc(duration(*c.CancelAfterSeconds), cancel).Stop()
	}
	begun := time.Now()
	err = call(ctx, cancel, client, c, r)
	r.ElapsedSeconds = time.Since(begun).Seconds()
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		r.Cancelled = true
	case err != nil:
		r.failed(err)
	}
	time.Sleep(duration(c.LingerSeconds))
	return r
}
