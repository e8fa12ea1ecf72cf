;; Asks for the values of 2,000 keys, which are all the same 32 KiB of its memory.
(component
  (import "wasi:keyvalue/store@0.2.0-draft2" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $e (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $e)))
    (export "open" (func (param "identifier" string)
      (result (result (own $bucket) (error $error)))))))
  (alias export $store "bucket" (type $bucket))
  (alias export $store "error" (type $error))
  (import "wasi:keyvalue/batch@0.2.0-draft2" (instance $batch
    (alias outer 1 $bucket (type $b))
    (export "bucket" (type $bucket (eq $b)))
    (alias outer 1 $error (type $e))
    (export "error" (type $error (eq $e)))
    (export "delete-many" (func (param "bucket" (borrow $bucket)) (param "keys" (list string))
      (result (result (error $error)))))))
  (core module $memory
    (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $m (instantiate $memory))
  (core func $open (canon lower (func $store "open")
    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $delete (canon lower (func $batch "delete-many")
    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core module $code
    (import "h" "open" (func $open (param i32 i32 i32)))
    (import "h" "delete" (func $delete (param i32 i32 i32 i32)))
    (import "m" "memory" (memory 2))
    (func $start (local $at i32)
      (call $open (i32.const 0) (i32.const 0) (i32.const 16))
      (local.set $at (i32.const 4096))
      (loop $more
        (i32.store (local.get $at) (i32.const 65536))
        (i32.store offset=4 (local.get $at) (i32.const 32768))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 20096))))
      (call $delete (i32.load (i32.const 20)) (i32.const 4096) (i32.const 2000) (i32.const 32)))
    (start $start))
  (core instance (instantiate $code
    (with "h" (instance (export "open" (func $open)) (export "delete" (func $delete))))
    (with "m" (instance $m)))))
