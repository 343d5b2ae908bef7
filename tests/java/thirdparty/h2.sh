#!/bin/bash
# suite: no
# H2, an SQL database in the same JVM, on files in /tmp; driven by its own script runner.
. "$(dirname "$0")/common.inc"
need /usr/share/java/h2.jar libh2-java
script=$OUT/h2.sql
cat >"$script" <<'END'
CREATE TABLE item(id INT PRIMARY KEY, name VARCHAR(50), price DECIMAL(10,2));
INSERT INTO item SELECT x, 'item ' || x, x * 1.5 FROM SYSTEM_RANGE(1, 5000);
CREATE INDEX by_price ON item(price);
UPDATE item SET price = price + 1 WHERE MOD(id, 2) = 0;
DELETE FROM item WHERE id > 4000;
CHECKPOINT;
SELECT 'answer ' || COUNT(*) || ' ' || CAST(SUM(price) AS VARCHAR) FROM item;
END
# Shell prints the answer of its last statement.
rm -rf /tmp/h2test.mv.db
both h2 "$script" 'answer 4000 12005000\.00' --file "$script:/t/h2.sql" -- org.h2.tools.Shell /usr/share/java/h2.jar \
	-url jdbc:h2:file:/tmp/h2test -user sa -password ''
