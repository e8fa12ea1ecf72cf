;; Reads the value of `key` for a compare-and-swap again and again, and keeps what it read, until the
;; host refuses. Traps when that takes a hundred of them.
(component
  (import "wasi:keyvalue/store@0.2.0-draft2" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $e (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $e)))
    (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))))
  (alias export $store "bucket" (type $bucket))
  (alias export $store "error" (type $error))
  (import "wasi:keyvalue/atomics@0.2.0-draft2" (instance $atomics
    (alias outer 1 $bucket (type $b))
    (export "bucket" (type $bucket (eq $b)))
    (alias outer 1 $error (type $e))
    (export "error" (type $error (eq $e)))
    (export "cas" (type $cas (sub resource)))
    (export "[static]cas.new" (func (param "bucket" (borrow $bucket)) (param "key" string)
      (result (result (own $cas) (error $error)))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $m (instantiate $memory))
  (core func $open (canon lower (func $store "open")
    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $new (canon lower (func $atomics "[static]cas.new")
    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core module $code
    (import "h" "open" (func $open (param i32 i32 i32)))
    (import "h" "new" (func $new (param i32 i32 i32 i32)))
    (import "m" "memory" (memory 1))
    (func $start (local $left i32)
      (call $open (i32.const 0) (i32.const 0) (i32.const 16))
      (local.set $left (i32.const 100))
      (loop $more
        (call $new (i32.load (i32.const 20)) (i32.const 0) (i32.const 3) (i32.const 32))
        (if (i32.load8_u (i32.const 32)) (then return))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left)))
      unreachable)
    (start $start)
    (data (i32.const 0) "key"))
  (core instance (instantiate $code
    (with "h" (instance (export "open" (func $open)) (export "new" (func $new))))
    (with "m" (instance $m)))))
