package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"syscall"
)

// limits of one class, as packrank's built-in policy has them.
type limits struct {
	shares, quota, memory, guarantee, pids int64
	oomScore, ioPriority                   int
	files                                  [2]uint64
	operations, bytes                      int64
}

const mib = 1 << 20

// Without scavenger, which sets more than numbers and is not measured.
var classes = map[string]limits{
	"critical": {2048, 200_000, 4096 * mib, 2048 * mib, 4096, -999, 0, [2]uint64{4096, 8192}, 10_000, 500 * mib},
	"high":     {1536, 150_000, 2048 * mib, 1024 * mib, 2048, -500, 2, [2]uint64{4096, 8192}, 5_000, 200 * mib},
	"normal":   {1024, 100_000, 1024 * mib, 256 * mib, 1024, 0, 4, [2]uint64{1024, 4096}, 1_000, 50 * mib},
	"low":      {512, 50_000, 512 * mib, 0, 512, 500, 7, [2]uint64{1024, 2048}, 500, 20 * mib},
}

// members of an object that stay as they are unless they are set.
type members map[string]json.RawMessage

func (m members) set(name string, value any) error {
	raw, err := json.Marshal(value)
	m[name] = raw
	return err
}

// read decodes a member, if it is there.
func (m members) read(name string, into any) error {
	raw, ok := m[name]
	if !ok {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	// A float64 would not hold every limit.
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("config.json: %s: %w", name, err)
	}
	return nil
}

type (
	object map[string]any
	rlimit struct {
		Type string `json:"type"`
		Hard uint64 `json:"hard"`
		Soft uint64 `json:"soft"`
	}
	throttle struct {
		Major uint64 `json:"major"`
		Minor uint64 `json:"minor"`
		Rate  int64  `json:"rate"`
	}
)

// limited gives a container's class and its spec with the class's limits; no class: "".
func limited(document []byte, bundle string) (string, []byte, error) {
	spec, linux, process := members{}, members{}, members{}
	if err := json.Unmarshal(document, &spec); err != nil {
		return "", nil, fmt.Errorf("config.json: %w", err)
	}
	var annotations map[string]string
	var rlimits []rlimit
	resources := object{}
	for _, part := range []struct {
		of   members
		name string
		into any
	}{
		{spec, "annotations", &annotations}, {spec, "linux", &linux}, {spec, "process", &process},
		{linux, "resources", &resources}, {process, "rlimits", &rlimits},
	} {
		if err := part.of.read(part.name, part.into); err != nil {
			return "", nil, err
		}
	}
	class := annotations[annotation]
	if class == "" {
		return "", nil, nil
	}
	limits, ok := classes[class]
	if !ok {
		return "", nil, fmt.Errorf("%s: %q is no class", annotation, class)
	}
	disks, err := disks(spec, bundle)
	if err != nil {
		return "", nil, err
	}
	limits.write(resources, disks)
	kept := []rlimit{{"RLIMIT_NOFILE", limits.files[1], limits.files[0]}}
	for _, limit := range rlimits {
		if limit.Type != "RLIMIT_NOFILE" {
			kept = append(kept, limit)
		}
	}
	for _, part := range []struct {
		of    members
		name  string
		value any
	}{
		{linux, "resources", resources}, {process, "rlimits", kept}, {process, "oomScoreAdj", limits.oomScore},
		{process, "ioPriority", object{"class": "IOPRIO_CLASS_BE", "priority": limits.ioPriority}},
		{spec, "linux", linux}, {spec, "process", process},
	} {
		if err := part.of.set(part.name, part.value); err != nil {
			return "", nil, err
		}
	}
	after, err := json.Marshal(spec)
	return class, after, err
}

func (l limits) write(resources object, disks []throttle) {
	in := func(name string) object {
		inner, ok := resources[name].(map[string]any)
		if !ok {
			inner = object{}
			resources[name] = inner
		}
		return inner
	}
	// A limit that is tighter stays; 0 and less are none.
	atMost := func(o object, name string, limit int64) {
		number, _ := o[name].(json.Number)
		if have, err := number.Int64(); err != nil || have <= 0 || have > limit {
			o[name] = limit
		}
	}
	atMost(in("cpu"), "shares", l.shares)
	atMost(in("cpu"), "quota", l.quota)
	in("cpu")["period"] = 100_000
	atMost(in("memory"), "limit", l.memory)
	atMost(in("memory"), "swap", l.memory)
	in("memory")["reservation"] = l.guarantee
	atMost(in("pids"), "limit", l.pids)
	for name, rate := range map[string]int64{
		"throttleReadIOPSDevice": l.operations, "throttleWriteIOPSDevice": l.operations,
		"throttleReadBpsDevice": l.bytes, "throttleWriteBpsDevice": l.bytes,
	} {
		rates := make([]throttle, len(disks))
		for i, disk := range disks {
			rates[i] = throttle{disk.Major, disk.Minor, rate}
		}
		in("blockIO")[name] = rates
	}
}

// disks behind the container's root and its bind mounts, each once.
func disks(spec members, bundle string) (found []throttle, err error) {
	var root struct{ Path string }
	var mounts []struct{ Type, Source string }
	if err := spec.read("root", &root); err != nil {
		return nil, err
	}
	if err := spec.read("mounts", &mounts); err != nil {
		return nil, err
	}
	paths := []string{root.Path}
	for _, mount := range mounts {
		if mount.Type == "bind" {
			paths = append(paths, mount.Source)
		}
	}
	seen := map[uint64]bool{}
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(bundle, path)
		}
		var stat syscall.Stat_t
		if syscall.Stat(path, &stat) != nil || seen[stat.Dev] {
			continue
		}
		seen[stat.Dev] = true
		// What is in memory or on a network has none.
		if major := stat.Dev >> 8 & 0xfff; major != 0 {
			found = append(found, throttle{Major: major, Minor: stat.Dev&0xff | stat.Dev>>12&0xfff00})
		}
	}
	return found, nil
}
