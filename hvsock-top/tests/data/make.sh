# Made what is here, and makes it anew when a Snapshot's names change their meaning. In the test bed:
#   cargo xtask vm --file hvsock-top/tests/data/make.sh -- sh /bin/make.sh | tar x -C hvsock-top/tests/data
# demo-metrics.txt, the pictures in docs/img and the screens of the tests follow from it:
#   BLESS=1 UPDATE_PICTURES=1 INSTA_UPDATE=always cargo test -p hvsock-top --lib
cd /tmp
echo "mode 5000 echo" > /proc/hvhost
echo "mode 5001 ignore" > /proc/hvhost
hvsock-top record -o before.rec -- sh -c 'i=0; while [ $i -lt 24 ]; do guest echo 5000 2000 1; sleep 0.5; i=$((i+1)); done' >&2
hvsock-top record -o after.rec -- sh -c 'i=0; (guest connect 5001; guest connect 5001) & while [ $i -lt 24 ]; do guest echo 5000 40000 1; sleep 0.5; i=$((i+1)); done' >&2
guest demo --watched < /dev/null >&2 &
hvsock-top record -o demo.hvrec -- sleep 12.5 >&2
hvsock-top json --replay demo.hvrec | tail -n 1 > demo-snapshot.json
tar cf - before.rec after.rec demo.hvrec demo-snapshot.json | cat
