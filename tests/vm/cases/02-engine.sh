# The bare engine runs a busybox bundle, and its limits reach the kernel.
# matrix: engine driver

bundle one '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 42}, cpu: {shares: 512, quota: 50000, period: 100000}}
  | .process.oomScoreAdj = 500'
run_plain one
expect memory.max 67108864
expect pids.max 42
expect cpu.max '50000 100000'
expect "/proc/$PID/oom_score_adj" 500
