#!/bin/bash
# suite: yes
# Clojure evaluates a script: dynamic class loading, the compiler, agents.
. "$(dirname "$0")/common.inc"
need /usr/share/java/clojure.jar libclojure-java
jars=/usr/share/java/clojure.jar:/usr/share/java/spec.alpha.jar:/usr/share/java/core.specs.alpha.jar
both clojure /dev/null '^odd-primes 167 sum 76125 words 3 agent 1000$' -- clojure.main "$jars" -e '
(defn odd-prime? [n] (and (> n 1) (every? #(pos? (mod n %)) (range 2 (inc (Math/sqrt n))))))
(let [primes (filter odd-prime? (range 1000)) a (agent 0)]
  (dotimes [_ 1000] (send a inc))
  (await a)
  (println "odd-primes" (count primes) "sum" (reduce + primes) "words" (count (re-seq #"\w+" "one two three")) "agent" @a)
  (shutdown-agents))'
