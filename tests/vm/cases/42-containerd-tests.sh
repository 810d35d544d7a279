# The shim's native tests, on the guest's containerd, kernel and cgroup v2: a pod asked for as kubelet
# does it, with its rate measured; the shim's socket beside the stock shim's, with a terminal; a
# container that is attached to; what is wrong and what is refused, in one sentence; the options that
# systemd and cgroup v2 have a part in.
# matrix: about=pods,calls,attach,wrong,options
# needs: test-outside containerd-shim-packrank-v2
# timeout: 240
# tries: 3

case $ABOUT in
  pods) tests=(pods::a_pod) ;;
  calls) tests=(calls::the_sockets) ;;
  attach) tests=(calls::a_detached) ;;
  wrong) tests=(wrong::what_is_wrong ranked::a_refusal) ;;
  options) tests=(options::cgroups_by_systemd options::the_shims_own_cgroup) ;;
esac
note "$(containerd --version)"
if ! PACKRANK_BIN=$LAB/bin test-outside --test-threads 1 --nocapture "${tests[@]/#/containerd::}" >said 2>&1; then
  grep -v level=info said
  fail "$(grep -m 1 -A 2 panicked said | tr '\n' ' ')"
fi
cat said
grep -q "^test result: ok. ${#tests[@]} passed" said || fail "not all of ${tests[*]} were run"
if why=$(grep -m 1 SKIPPED said); then skip "$why"; fi
