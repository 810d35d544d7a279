// What packrank-runtime is measured against: the same job in Go, with its standard library alone.
//
// In: runc's command line with --engine before it. Out: the engine in this process's place; before
// create and run of a container annotated with a class, the class's limits are in its config.json.
// Called with --hook it is a createRuntime hook: it reads the state and config.json and, of a
// container without a class, does nothing.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const annotation = "packrank.io/priority"

// call is what must be known of runc's command line.
type call struct {
	engine, log, verb, bundle string
	forwarded                 []string
}

// takesValue names the options that are followed by a word of their own.
var takesValue = map[string]bool{
	"root": true, "criu": true, "rootless": true, "log": true, "log-format": true,
	"bundle": true, "b": true, "console-socket": true, "pid-file": true, "preserve-fds": true,
}

func read(args []string) (call, error) {
	c := call{bundle: "."}
	for i := 0; i < len(args); i++ {
		name, value, inline := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !strings.HasPrefix(args[i], "-") {
			if c.verb == "" {
				c.verb = args[i]
			}
			c.forwarded = append(c.forwarded, args[i])
			continue
		}
		words := args[i : i+1]
		if !inline && (name == "engine" || takesValue[name]) {
			if i+1 == len(args) {
				return c, fmt.Errorf("--%s needs a value", name)
			}
			words, value = args[i:i+2], args[i+1]
			i++
		}
		switch name {
		case "engine":
			c.engine = value
			continue
		case "log":
			c.log = value
		case "bundle", "b":
			c.bundle = value
		}
		c.forwarded = append(c.forwarded, words...)
	}
	if c.engine == "" {
		return c, errors.New("--engine needs a value")
	}
	return c, nil
}

// tell appends a line to the engine's log, where managers look for the reason.
func tell(path, level, message string) error {
	if path == "" {
		return nil
	}
	line, err := json.Marshal(map[string]string{
		"level": level, "msg": message, "time": time.Now().UTC().Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}

// rank writes the limits of the container's class into the bundle's config.json.
func rank(bundle string) (string, error) {
	path := filepath.Join(bundle, "config.json")
	before, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if !bytes.Contains(before, []byte(annotation)) {
		return "", nil
	}
	class, after, err := limited(before, bundle)
	if err != nil || class == "" {
		return "", err
	}
	return class, replace(path, after)
}

// replace puts a file in another's place, under its owner and mode.
func replace(path string, data []byte) error {
	old, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !old.Mode().IsRegular() {
		return fmt.Errorf("%s: is no regular file", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	stat := old.Sys().(*syscall.Stat_t)
	if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
		return err
	}
	if err := file.Chmod(old.Mode().Perm()); err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// hook is createRuntime for a container without a class.
func hook() error {
	var state struct {
		ID     string `json:"id"`
		Pid    int    `json:"pid"`
		Bundle string `json:"bundle"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&state); err != nil {
		return fmt.Errorf("the state on stdin: %w", err)
	}
	spec, err := os.ReadFile(filepath.Join(state.Bundle, "config.json"))
	if err == nil && bytes.Contains(spec, []byte(annotation)) {
		err = errors.New("this hook is for containers without a class")
	}
	return err
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "--hook" {
		return hook()
	}
	c, err := read(args)
	if err != nil {
		return err
	}
	if c.verb == "create" || c.verb == "run" {
		class, err := rank(c.bundle)
		if err != nil {
			_ = tell(c.log, "error", err.Error())
			return err
		}
		if class != "" {
			_ = tell(c.log, "info", "ranked priority="+class)
		}
	}
	return syscall.Exec(c.engine, append([]string{c.engine}, c.forwarded...), os.Environ())
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "wrapper:", err)
		os.Exit(1)
	}
}
