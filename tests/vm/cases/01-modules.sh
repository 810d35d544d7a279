# Every module that shaping, counting and quota ask for loads.

for module in sch_htb sch_tbf sch_fq_codel sch_ingress ifb act_mirred act_police cls_matchall \
  cls_u32 cls_bpf cls_flower veth nf_tables nft_connlimit nft_limit nft_ct overlay quota_v2; do
  modprobe "$module" || fail "no module $module"
done
