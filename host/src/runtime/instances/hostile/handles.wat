;; Makes resources of its own and drops none of them.
(component
  (type $own (resource (rep i32)))
  (core func $new (canon resource.new $own))
  (core module $code
    (import "h" "new" (func $new (param i32) (result i32)))
    (func $start (local $left i32)
      (local.set $left (i32.const 50000))
      (loop $more
        (drop (call $new (local.get $left)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left))))
    (start $start))
  (core instance (instantiate $code (with "h" (instance (export "new" (func $new)))))))
